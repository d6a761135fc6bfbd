"""The numbers of the estimate, with their reasons. Those that an operator may change are in `EngineSettings`."""

# Samples

SAMPLE = 0.04
"""The shortest time in seconds between the packets of two samples. A sample is the shortest delay of several
packets, which hides that wifi delays single ones. Browsers report every 50 to 250 ms, so it is usually one
feedback."""
SAMPLES = 40
"""So many samples are remembered: those of more than a second and a half."""
GAP = 0.3
"""If nothing that was sent in so many seconds has arrived, there was a pause or an outage, and what was before
says nothing about the path as it is now."""
RATE = 0.5
"""A rate over at least so many seconds shows what the path carries (the draft: 0.5 to 1 s)."""
FULL_RATE = 0.15
"""While the path is full, packets arrive at its rate exactly, so a short time is enough. It is short because the
time before must not count."""
FIRST_RATE = 0.2
"""After so many seconds there is a first estimate."""
SILENCE = 0.6
"""If a transport has told of nothing for so many seconds, nothing is sent on it. Browsers report at least every
0.25 s."""

# Delay

TREND = 6
"""The trend of the delay is that of so many samples, which is about 0.3 s."""
GROWS = 0.04
"""The delay grows if it does by more than so many seconds a second: the path is sent 4 % more than it carries."""
SHRINKS = -0.02
FIRST_THRESHOLD = 0.025
"""The queue in seconds from which on the path may be full. It adapts to what is usual."""
THRESHOLDS = (0.02, 0.1)
"""Sound bears the longer one."""
THRESHOLD_UP, THRESHOLD_DOWN = 1.0, 0.05
"""How quickly the threshold adapts, in 1/s. It rises faster than it falls, as in the draft."""
OUTLIER = 0.015
"""A queue that is longer than the threshold by more than so many seconds does not change it (section 5.4)."""
JITTER_WEIGHT, MAX_JITTER = 0.05, 0.05
"""The weight of a sample in the smoothed jitter, and the most seconds of jitter that count."""
BASE_LIFE = 10.0
"""The delay without a queue is the shortest within the last one to two times so many seconds."""
STANDING = 1.5
"""A queue that stands for so long must be emptied, although it does not grow."""
NOT_OURS = 2.5
"""A queue that still stands after so long counts as the path's delay from now on: the path has changed, or others
fill it. Otherwise we would never rise again."""
YIELDED = 0.5
"""Others fill it, if meanwhile less than so much is sent of what was sent when it began."""
OBEYED = 1.25
"""The same if no more than so many times the estimate is sent."""
SHARED_LIFE = 20.0
"""For so many seconds after that only losses show that the path is full. Otherwise we would give way to a download
until nothing is left. The draft adapts its threshold for that."""

# Rates

LOWER = 0.9
"""If the path is full, the estimate is lowered to so much of what arrives, so that the queue empties (the draft's
beta)."""
IDLE = 0.5
"""If less than so much of the estimate is sent, what arrives says little about it. Then it is lowered to this
share of itself at most."""
REACTION = 0.1
"""Seconds from a change of the estimate until what is sent follows it. What was sent before says nothing new."""
RISE = 1.08
"""The estimate grows by this factor in a second while nearly as much is sent (section 5.5)."""
NEARLY = 0.85
BEYOND = 1.1
"""But not beyond so many times what arrives. The draft has 1.5, and no probes."""
LOSS_TIME = 1.0
"""Losses are those of so many seconds."""
FEW = 20
"""Losses count only among at least so many packets."""
LOSS_WEIGHT = 0.05
"""The weight of a sample in the usual loss."""
GREAT_LOSS, SMALL_LOSS = 0.1, 0.02
"""With more losses the estimate falls, with fewer it may rise (section 6)."""
MAX_BITRATE = 1_000_000_000
"""Nobody's path carries more."""

CEILING_LIFE = 30.0
"""Seconds for which it counts that the path was full at a bitrate. Near it a probe may succeed, and yet the media
fill the path, and the picture would change every few seconds."""
NEAR_CEILING, ABOVE_CEILING = 1.1, 1.15
"""A bitrate of less than so many times the ceiling is near it. A probe tries to show more."""

# Probes

PROBE_TIME = 0.15
"""Seconds. It is long beside the 250 µs of a feedback's times, and short enough for the queue."""
PROBE_STEP = 0.05
"""The time in seconds between two questions how much is to be sent."""
PROBE_RATE = 1.5
"""A probe sends so many times the rate that the path has lately been seen to carry. If it carries no more, the
queue grows by (1.5 - 1) · 150 ms = 75 ms, which sound bears."""
PROBE_MARGIN = 1.1
"""A probe need not show more than so many times what is wanted."""
PROGRESS = 1.1
"""A probe has succeeded if it showed so many times what was seen to arrive before."""
SHOWN_LIFE = 6.0
"""Seconds for which a rate counts that the path was seen to carry. It is more than the longest pause between
probes, so that the next one begins where the last one ended."""
PROBE_QUEUE = 0.06
"""A probe ends at once if the queue has grown by so many seconds."""
PROBE_LOSS = 0.2
FEW_LOST = 2
"""A probe that loses so much more than usual has filled the path, but not if it loses only a few packets."""
PROBE_RISE, SHARED_RISE = 0.012, 0.04
"""A probe has filled the path if the queue has grown by so many seconds beyond the usual jitter, or by twice that
jitter. The second is for a path that others fill, where the queue grows by itself."""
PROBE_TAIL = 0.03
"""The packets that are sent in so many seconds after a probe show how long its queue is. With jitter more of them
are needed."""
TAIL_JITTER = 3.0
"""For each second of jitter the tail is longer by so many."""
NEW_LAYER = 0.4
"""If the next layer fits after a probe, the next probe waits for so many seconds: the layer begins with a
keyframe."""
PROBE_MEDIA = 2.0
"""For so many seconds after a probe has begun, the media are taken to have the rate of before."""
DEAF = 5.0
"""A transport that has told nothing of its probe does not probe again for so many seconds: others may."""
PROBE_PATIENCE = 1.0
"""A probe whose answer has not come within so many seconds has failed."""
PROBE_MARK = 100
"""Bytes that are sent after a probe while nothing else is, because the next packets show the queue."""
PROBE_SAFETY = 0.9
"""If a probe has filled the path, the estimate is so much of what arrived."""
QUIET = 10.0
"""If nothing has gone wrong for so many seconds, the next failed probe counts as the first."""
REGRET = 4.0
"""If the path is full so soon after a probe, the probe was wrong."""
