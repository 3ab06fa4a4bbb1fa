"""The commands of ``agentbay local``. They use argparse only, and need no client."""
