"""Runs all benchmarks: ``python -m benchmarks [--quick] [--out DIR]``."""

from . import audio, commands, end_to_end, imports, pending, receiver, report, scale_out

if __name__ == "__main__":
    report.main(receiver.run, commands.run, end_to_end.run, pending.run, audio.run, scale_out.run, imports.run)
