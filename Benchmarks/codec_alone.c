// The limit of a recording: libopus and LAME alone, as the recorder sets them (16 kHz mono, 32 kbit/s on average, quality 5), no files.
// usage: codec_alone FILE TIMES   (FILE: packets, each behind its length in two octets, little endian; TIMES: so many talks of it)
// Prints the seconds of sound and the CPU seconds used.
#include <lame/lame.h>
#include <opus/opus.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define RATE 16000

int main(int argc, char **argv) {
    FILE *file = argc > 2 ? fopen(argv[1], "rb") : NULL;
    if (!file) { fprintf(stderr, "usage: codec_alone FILE TIMES\n"); return 2; }
    static unsigned char data[1 << 22], mp3[RATE * 2 + 7200];
    static opus_int16 pcm[2 * RATE];
    size_t length = fread(data, 1, sizeof data, file);
    long samples = 0;
    for (int time = 0; time < atoi(argv[2]); time++) {
        int code, held = 0;
        OpusDecoder *decoder = opus_decoder_create(RATE, 1, &code);
        lame_t lame = lame_init();
        lame_set_in_samplerate(lame, RATE);
        lame_set_out_samplerate(lame, RATE);
        lame_set_num_channels(lame, 1);
        lame_set_mode(lame, MONO);
        lame_set_VBR(lame, vbr_abr);
        lame_set_VBR_mean_bitrate_kbps(lame, 32);
        lame_set_quality(lame, 5);
        lame_set_bWriteVbrTag(lame, 1);
        if (!decoder || lame_init_params(lame) < 0) return 1;
        for (size_t at = 0; at + 2 <= length;) {
            int size = data[at] | data[at + 1] << 8;
            int n = opus_decode(decoder, data + at + 2, size, pcm + held, RATE * 120 / 1000, 0);
            if (n < 0) return 1;
            at += 2 + size;
            held += n;
            samples += n;
            if (held >= RATE) { lame_encode_buffer(lame, pcm, NULL, held, mp3, sizeof mp3); held = 0; }
        }
        lame_encode_buffer(lame, pcm, NULL, held, mp3, sizeof mp3);
        lame_encode_flush(lame, mp3, sizeof mp3);
        lame_get_lametag_frame(lame, mp3, sizeof mp3);
        lame_close(lame);
        opus_decoder_destroy(decoder);
    }
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    printf("%f %f\n", samples / (double)RATE, r.ru_utime.tv_sec + r.ru_stime.tv_sec + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6);
    return 0;
}
