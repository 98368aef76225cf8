"""Runs a command at a pseudo-terminal: terminal.py ANSWERS COMMAND ARGUMENT...

ANSWERS are lines; each is typed when the command asks something (its output ends with ": "). What the terminal shows
goes to stdout; the command's exit status is this program's.
"""

import os
import pty
import select
import sys
import time

answers = sys.argv[1].split("\n")
child, terminal = pty.fork()
if child == 0:
    os.execvp(sys.argv[2], sys.argv[2:])

shown = b""
asked = 0
deadline = time.monotonic() + 60
while time.monotonic() < deadline:
    ready, _, _ = select.select([terminal], [], [], 1)
    if not ready:
        continue
    try:
        data = os.read(terminal, 4096)
    except OSError:  # the command has closed its end
        break
    if not data:
        break
    shown += data
    if shown.endswith(b": ") and asked < len(answers):
        # The prompt may be on the screen before the terminal has stopped echoing.
        time.sleep(0.2)
        os.write(terminal, answers[asked].encode() + b"\n")
        asked += 1
else:
    os.kill(child, 9)

_, status = os.waitpid(child, 0)
sys.stdout.write(shown.decode(errors="replace"))
sys.stdout.flush()
sys.exit(os.waitstatus_to_exitcode(status) % 256)
