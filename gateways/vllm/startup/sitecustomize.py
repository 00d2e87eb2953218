"""Ends each Python process together with the process that started it.

A vLLM server starts child processes, which outlive a killed server. Python runs this file on startup if
`PYTHONPATH` contains its folder.
"""

import ctypes
import signal

PR_SET_PDEATHSIG = 1

ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
