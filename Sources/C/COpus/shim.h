#include <opus/opus.h>

// opus_encoder_ctl is variadic, which Swift can't call; its requests are macros.
static inline int talkburst_opus_set_bitrate(OpusEncoder *encoder, opus_int32 value) { return opus_encoder_ctl(encoder, OPUS_SET_BITRATE(value)); }
static inline int talkburst_opus_set_dtx(OpusEncoder *encoder, opus_int32 value) { return opus_encoder_ctl(encoder, OPUS_SET_DTX(value)); }
static inline int talkburst_opus_set_fec(OpusEncoder *encoder, opus_int32 value) { return opus_encoder_ctl(encoder, OPUS_SET_INBAND_FEC(value)); }
static inline int talkburst_opus_set_loss(OpusEncoder *encoder, opus_int32 value) { return opus_encoder_ctl(encoder, OPUS_SET_PACKET_LOSS_PERC(value)); }
static inline int talkburst_opus_set_voice(OpusEncoder *encoder) { return opus_encoder_ctl(encoder, OPUS_SET_SIGNAL(OPUS_SIGNAL_VOICE)); }
static inline int talkburst_opus_reset_decoder(OpusDecoder *decoder) { return opus_decoder_ctl(decoder, OPUS_RESET_STATE); }
