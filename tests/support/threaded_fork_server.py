"""The program of a fork server in which something has started a thread, and so is not fit to be forked."""

import threading

from actbench.execution.engines import _fork_server

if __name__ == "__main__":
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    _fork_server.MODULES = ()
    _fork_server.main()
