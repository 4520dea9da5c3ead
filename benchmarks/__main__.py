"""Runs all benchmarks: ``python -m benchmarks [--quick] [--out DIR]``."""

from . import audio, call_centre, commands, end_to_end, imports, latency, pending, receiver, report, scale_out

if __name__ == "__main__":
    report.main(
        receiver.run,
        latency.run,
        commands.run,
        end_to_end.run,
        call_centre.run,
        pending.run,
        audio.run,
        scale_out.run,
        imports.run,
    )
