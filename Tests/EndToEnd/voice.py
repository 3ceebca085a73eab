"""What was said and what was heard: speech, Opus, and how alike two sounds are. Samples are 48 kHz mono, 16 bits."""
import fractions, io, subprocess, wave

import av
import numpy

RATE, BLOCK = 48_000, 960
# Middles of thirds of an octave, Hz: what speech has and every encoder here keeps.
BANDS = [round(200 * 2 ** (index / 3)) for index in range(14)]


def speech(text, pitch=50):
    """Somebody says it."""
    spoken = subprocess.run(["espeak-ng", "-s", "150", "-p", str(pitch), "--stdout", text], check=True, capture_output=True).stdout
    words = ["ffmpeg", "-v", "error", "-i", "-", "-ar", str(RATE), "-ac", "1", "-f", "s16le", "-"]
    return numpy.frombuffer(subprocess.run(words, input=spoken, check=True, capture_output=True).stdout, dtype=numpy.int16)


def decoded(path):
    """A file's sound."""
    words = ["ffmpeg", "-v", "error", "-i", path, "-ar", str(RATE), "-ac", "1", "-f", "s16le", "-"]
    return numpy.frombuffer(subprocess.run(words, check=True, capture_output=True).stdout, dtype=numpy.int16)


def wav(samples):
    """As a file's bytes."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1), file.setsampwidth(2), file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    return out.getvalue()


def encode(samples):
    """Opus packets of 20 ms."""
    codec = av.CodecContext.create("libopus", "w")
    codec.sample_rate, codec.layout, codec.format, codec.bit_rate = RATE, "mono", "s16", 32_000
    codec.time_base = fractions.Fraction(1, RATE)
    packets = []
    for place in range(0, len(samples) - BLOCK + 1, BLOCK):
        frame = av.AudioFrame.from_ndarray(samples[place:place + BLOCK].reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts = RATE, place
        packets += [bytes(packet) for packet in codec.encode(frame)]
    return packets + [bytes(packet) for packet in codec.encode(None)]


def decode(packets):
    """What Opus packets sound like."""
    codec = av.CodecContext.create("libopus", "r")
    codec.sample_rate, codec.layout = RATE, "mono"
    frames = [frame.to_ndarray() for packet in packets for frame in codec.decode(av.Packet(packet))]
    if not frames:
        return numpy.zeros(0, dtype=numpy.int16)
    sound = numpy.concatenate([frame.reshape(-1) for frame in frames])
    return (sound * 32_767).astype(numpy.int16) if sound.dtype.kind == "f" else sound


def cut(samples):
    """From the first loud block to the last."""
    blocks = samples[:len(samples) // BLOCK * BLOCK].reshape(-1, BLOCK).astype(float)
    loudness = numpy.sqrt((blocks ** 2).mean(axis=1)) if len(blocks) else numpy.zeros(0)
    loud = numpy.flatnonzero(loudness > max(200.0, 0.05 * loudness.max(initial=0)))
    return samples[loud[0] * BLOCK:(loud[-1] + 1) * BLOCK].astype(float) if len(loud) else numpy.zeros(BLOCK)


def bands(samples):
    """How much of it is in each band, dB."""
    power, frequencies = numpy.abs(numpy.fft.rfft(samples)) ** 2, numpy.fft.rfftfreq(len(samples), 1 / RATE)
    parts = [power[(frequencies >= middle / 2 ** (1 / 6)) & (frequencies < middle * 2 ** (1 / 6))].sum() for middle in BANDS]
    return 10 * numpy.log10(numpy.array(parts) / len(samples) ** 2 + 1e-9)


def difference(said, heard):
    """What became of it on the way: (seconds longer, dB louder, dB that any band of the spectrum is off once both are as loud)."""
    said, heard = cut(said), cut(heard)
    louder = 20 * numpy.log10(numpy.sqrt((heard ** 2).mean() + 1) / numpy.sqrt((said ** 2).mean() + 1))
    was, now = bands(said), bands(heard)
    # Where the voice has next to nothing the codec may do what it likes.
    voiced = was > was.max() - 25
    off = numpy.abs(now - was - louder)[voiced].max()
    return (len(heard) - len(said)) / RATE, float(louder), float(off)
