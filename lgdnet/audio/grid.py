"""The grid of mel bins and log-mel frames: numbers that everything about sound shares, and nothing heavy."""

import math

SAMPLE_RATE = 16_000  # samples per second
HOP_SAMPLES = 160  # 10 ms from one log-mel frame to the next
FRAMES_PER_SEC = SAMPLE_RATE / HOP_SAMPLES
NUM_MELS = 128

# Rounding to 16 bit is white noise of about 4e-10 per mel bin; a floor 250 times higher turns it into 0.004
# (0.05 at most) after the logarithm, so that silence stays one number. A whisper has 1e-6. Our choice.
POWER_FLOOR = 1e-7
LOG_FLOOR = math.log(POWER_FLOOR)  # the value of digital silence
