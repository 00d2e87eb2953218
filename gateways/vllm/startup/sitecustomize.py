"""Ends each Python process with the one that started it.

A server of vLLM has processes of its own, which a server that is killed leaves behind. Python runs this file when
it starts, where `PYTHONPATH` names its folder.
"""

import ctypes
import signal

PR_SET_PDEATHSIG = 1

ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
