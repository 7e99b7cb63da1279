"""As `bytewax_own`, with a running sum for each window. Runs in ``.venv-bench``."""

from bench.peers.bytewax_own import main
from bench.peers.own_code import Running

if __name__ == "__main__":
    main(Running)
