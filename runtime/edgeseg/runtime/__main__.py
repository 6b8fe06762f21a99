"""The device's commands: `python -m edgeseg.runtime verify | predict | evaluate | doctor`.

JSON on stdout, everything else on stderr. Exit codes: 0 ok, 1 error, 2 usage, 3 a gate failed (golden masks beyond
their tolerance, Dice below --min-dice, no trusted signature). Needs numpy, cv2 and one engine; `doctor` needs none of
the engines.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edgeseg.runtime.engines import ENGINES
from edgeseg.runtime.errors import ERROR, GATE, OK, EdgesegError
from edgeseg.runtime.text import terminal

_EPILOG = """examples:
  python -m edgeseg.runtime doctor
  python -m edgeseg.runtime verify part.edgeseg --trust release.pub
  python -m edgeseg.runtime predict part.edgeseg frames --out masks --overlay
  python -m edgeseg.runtime evaluate part.edgeseg --data dataset --by kind

exit codes: 0 ok, 1 error, 2 usage, 3 a gate failed"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    return terminal.run(lambda: _run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    options = _parser().parse_args(arguments)
    try:
        report, code = options.run(options)
    except ImportError as err:
        engines = " or ".join(f"'edgeseg[{engine.extra}]'" for engine in ENGINES.values() if not engine.needs_gpu)
        return _fail(f"{err}. Run: pip install 'edgeseg[cv]' (and an engine: {engines})")
    except KeyboardInterrupt:
        return _fail("Stopped.")
    except EdgesegError as err:
        return _fail(str(err), err.exit_code)
    if report is not None:
        terminal.put_json(report)
    return int(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m edgeseg.runtime",
        description="Run and check segmentation bundles on a device.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    _add_verify(commands)
    _add_predict(commands)

    evaluate = _command(commands, "evaluate", "score a bundle on a data set", _evaluate)
    _add_bundle(evaluate)
    evaluate.add_argument("--data", metavar="DIR", type=Path, required=True, help="folder with images/ and masks/")
    given = "default: test where meta.csv has a column split, else all"
    evaluate.add_argument("--split", choices=("train", "val", "test", "all"), help=given)
    evaluate.add_argument("--by", metavar="COLUMN,...", default="", help="columns of meta.csv to score by")
    ids_help = "take class ids as they are where dataset.yaml has other names than the bundle"
    evaluate.add_argument("--classes-by-id", action="store_true", help=ids_help)
    evaluate.add_argument("--min-dice", metavar="X", type=_share, help="exit with 3 where dice_mean is below X (0..1)")
    _add_variant(evaluate)

    doctor = _command(commands, "doctor", "say what is installed and what is missing", _doctor)
    doctor.add_argument("bundle", metavar="BUNDLE", nargs="?", type=Path, help="also say which variant would run")
    return parser


def _command(
    commands: Any, name: str, help_text: str, run: Any
) -> argparse.ArgumentParser:  # argparse's own is private
    command: argparse.ArgumentParser = commands.add_parser(name, help=help_text, description=help_text)
    command.set_defaults(run=run)
    return command


def _add_bundle(command: argparse.ArgumentParser, or_else: str = ", or a step's folder") -> None:
    command.add_argument("bundle", metavar="BUNDLE", type=Path, help=f"the .edgeseg file{or_else}")
    command.add_argument("--threads", type=_positive, help="threads of the engine (default: all cores, at most 4)")


def _add_verify(commands: Any) -> None:
    verify = _command(commands, "verify", "check hashes and signatures, and re-run the golden inputs", _verify)
    _add_bundle(verify, or_else="")
    trust = "ask for a signature by this .pub file; may be repeated, any of them will do"
    verify.add_argument("--trust", metavar="KEY", type=Path, action="append", default=[], help=trust)
    policy = "what is asked for (default: the file EDGESEG_POLICY names, else /etc/edgeseg/policy.json)"
    verify.add_argument("--policy", metavar="FILE", type=Path, help=policy)
    unsigned = "exit with 0 though nobody trusted has signed it, unless a policy or --trust asks for that"
    verify.add_argument("--allow-unsigned", action="store_true", help=unsigned)


def _add_predict(commands: Any) -> None:
    predict = _command(commands, "predict", "segment images and films, write masks of class ids", _predict)
    _add_bundle(predict)
    inputs = "image and film files, and folders, whose tree is kept"
    # Not "*": argparse would take none at once in `predict BUNDLE --overlay INPUT`, and then refuse INPUT.
    needed = predict.add_argument("inputs", metavar="INPUT", nargs="+", default=(), type=Path, help=inputs)
    predict.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder the masks are written to")
    predict.add_argument("--decision", action="store_true", help="also decide good or reject by the bundle")
    predict.add_argument("--overlay", action="store_true", help="also draw the masks over the frames, in OUT/overlays")
    predict.add_argument("--overwrite", action="store_true", help="replace files that edgeseg did not write")
    camera_help = "segment this camera's frames instead of files"
    predict.add_argument("--camera", metavar="N", type=_instead_of(needed), help=camera_help)
    predict.add_argument(
        "--every", metavar="N", type=_positive, default=1, help="of films, each such frame (default: 1)"
    )
    predict.add_argument("--frames", metavar="N", type=_positive, help="of films and cameras, at most so many frames")
    _add_variant(predict)


def _instead_of(needed: argparse.Action) -> Callable[[str], int]:
    """Read a number whose option makes another argument needless."""

    def number(text: str) -> int:
        needed.required = False
        return int(text)

    return number


def _add_variant(command: argparse.ArgumentParser) -> None:
    variants = "variant to run, or 'fastest' to have it measured here once (default: the best one here)"
    command.add_argument("--variant", metavar="NAME", help=variants)


def _verify(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    from edgeseg.runtime.device.verify import verify_bundle, verify_code
    from edgeseg.runtime.trust.policy import chosen_policy

    policy = chosen_policy(options.policy, options.trust)
    report = verify_bundle(options.bundle, options.threads, policy, allow_unsigned=options.allow_unsigned)
    for sentence in (*report["refused"], *(one for one in report["not_checked"] if "NOT CHECKED" in one)):
        terminal.say(sentence)
    return report, verify_code(report)


def _predict(options: argparse.Namespace) -> tuple[None, int]:
    from edgeseg.runtime.device.commands import BundleChoice
    from edgeseg.runtime.predict.order import PredictOrder
    from edgeseg.runtime.predict.session import predict

    names = ("decision", "overlay", "overwrite", "camera", "every", "frames")
    order = PredictOrder(tuple(options.inputs), options.out, **{name: getattr(options, name) for name in names})
    with (
        predict(BundleChoice(options.bundle, options.variant, options.threads), order) as prediction,
        terminal.put_json_rows(prediction.head, prediction.tail) as put,
    ):
        for row in prediction:
            put(row)
            if row["status"] != "ok":
                reason = row["reason"].removeprefix(f"{row['image']}: ")
                terminal.say(f"{row['image']}: {reason}")
            _progress(prediction.done, prediction.total)
    return None, ERROR if prediction.failed else OK


def _evaluate(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    from edgeseg.runtime.device.commands import BundleChoice, evaluate, listed, passes

    report = evaluate(
        BundleChoice(options.bundle, options.variant, options.threads),
        options.data,
        split=options.split,
        by=listed(options.by),
        classes_by_id=options.classes_by_id,
        progress=_progress,
    )
    for kind, key in (("warning", "warnings"), ("note", "notes"), ("not checked", "not_checked")):
        for sentence in report[key]:
            terminal.say(f"{kind}: {sentence}")
    return report, OK if passes(report, options.min_dice) else GATE


def _doctor(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    from edgeseg.runtime.device.machine import doctor

    report = doctor()
    if options.bundle is not None:
        from edgeseg.runtime.device.commands import describe

        report["bundle"] = describe(options.bundle)
        return report, OK if report["bundle"]["chosen"] else ERROR
    return report, OK if report["ok"] else ERROR


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty() and total > 1:
        sys.stderr.write(f"\r{done}/{total}" + ("\n" if done == total else ""))
        sys.stderr.flush()


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, found {value}")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must be from 0 to 1, found {text}")
    return value


def _fail(message: str, code: int = ERROR) -> int:
    terminal.say(f"error: {message}")
    return code


if __name__ == "__main__":
    sys.exit(main())
