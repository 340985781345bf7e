"""Reports of a study: a page of Optuna's plots, and a run of a tracker."""

import warnings
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import optuna
from optuna import visualization
from optuna.trial import FrozenTrial, TrialState

from bench.runs.trackers.interface import LightningTracker
from bench.runs.trackers.record_log import log_facts
from bench.spec.run_spec import task_slug
from bench.toolkit.durable import write_atomic, writing
from sweeps.attempt import REASON
from sweeps.study import Sweep

LEAST = 4
"""Number of completed trials below which importances are meaningless."""


def figures(sweep: Sweep) -> dict[str, Any]:
    """Optuna's plots: history, importances and slices by objective, and the Pareto set of several.

    Args:
        sweep: The study.

    Returns:
        Plots by name.
    """
    study, names = sweep.study, sweep.spec.objectives
    completed = len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))
    if not completed:
        return {}
    found: dict[str, Any] = {}
    if len(names) in {2, 3}:
        found["Pareto set"] = visualization.plot_pareto_front(study, target_names=list(names))
    for place, name in enumerate(names):
        target = _objective(place) if len(names) > 1 else None
        found[f"{name}: history"] = visualization.plot_optimization_history(study, target=target, target_name=name)
        found[f"{name}: slices"] = visualization.plot_slice(study, target=target, target_name=name)
        if len(sweep.trials.space) > 1 and completed >= LEAST:
            sign = 1 if sweep.trials.directions()[place] == "minimize" else -1
            with warnings.catch_warnings():
                # Optuna warns that low values count as good; the sign makes them so.
                warnings.simplefilter("ignore", UserWarning)
                found[f"{name}: importances"] = visualization.plot_param_importances(
                    study,
                    evaluator=optuna.importance.PedAnovaImportanceEvaluator(),
                    target=_objective(place, sign),
                    target_name=name,
                )
    return found


def _objective(place: int, sign: int = 1) -> Callable[[FrozenTrial], float]:
    return lambda trial: sign * float(trial.values[place])


def write_page(sweep: Sweep, path: Path) -> None:
    """Write one HTML file that works offline.

    Args:
        sweep: The study.
        path: The file.

    Raises:
        StoreError: If it cannot be written.
    """
    parts = [
        f"<h2>{escape(name)}</h2>{figure.to_html(full_html=False, include_plotlyjs=place == 0)}"
        for place, (name, figure) in enumerate(figures(sweep).items())
    ]
    text = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(sweep.name)}</title></head><body>'
        f"<h1>{escape(sweep.name)}</h1><p>{escape(summary(sweep))}</p>{_table(sweep)}{''.join(parts)}</body></html>\n"
    )
    with writing(path, "use --out DIR"):
        write_atomic(path, text)


def summary(sweep: Sweep) -> str:
    """Numbers of trials by state, the validation, and the metric.

    Args:
        sweep: The study.

    Returns:
        One line.
    """
    ended = sweep.ended()
    states = {state: sum(trial.state is state for trial in ended) for state in (TrialState.PRUNED, TrialState.FAIL)}
    counts = [f"{len(ended)} trials", f"{states[TrialState.PRUNED]} pruned", f"{states[TrialState.FAIL]} failed"]
    how = f"{sweep.trials.validation} on {len(sweep.trials.sets)} support sets"
    if sweep.spec.shots == 1:
        how += " of a second item per class, because one alone cannot be held out"
    return f"{', '.join(counts)}; {how}; score: {sweep.trials.metric.label}"


def pareto_lines(sweep: Sweep) -> list[str]:
    """The best trial, or the Pareto set.

    Args:
        sweep: The study.

    Returns:
        A line of objectives and config for each trial.
    """
    return [
        f"{_values(sweep, trial)}  {', '.join(f'{name}={_short(value)}' for name, value in trial.params.items())}"
        for trial in sweep.pareto_trials()
    ]


def _values(sweep: Sweep, trial: FrozenTrial) -> str:
    named = zip(sweep.spec.objectives, trial.values, strict=True)
    return ", ".join(f"{name} {_short(value)}" for name, value in named)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _table(sweep: Sweep) -> str:
    """The Pareto set, and the reasons of failed trials."""
    rows = [f"<li>{escape(line)}</li>" for line in pareto_lines(sweep)]
    reasons = [
        f"<li>trial {trial.number} failed: {escape(str(trial.user_attrs[REASON]))}</li>"
        for trial in sweep.ended()
        if REASON in trial.user_attrs
    ]
    return f"<ul>{''.join(rows)}</ul><ul>{''.join(reasons)}</ul>"


def track(sweep: Sweep, tracker: LightningTracker) -> None:
    """Log a study as one run: its definition, each trial as a step, and the plots.

    Args:
        sweep: The study.
        tracker: The tracker.
    """
    group = task_slug(sweep.spec.task, sweep.spec.prompt, sweep.spec.template)
    metric = {"metric": sweep.trials.metric.name, "unit": sweep.trials.metric.label}
    with tracker.open(sweep.name[-8:] + "-study", sweep.name, group, "sweep") as logger:
        log_facts(logger, {**sweep.spec.model_dump(mode="json"), **metric, "validation": sweep.trials.validation})
        for trial in sweep.ended():
            numbers = {name: value for name, value in trial.params.items() if isinstance(value, int | float)}
            metrics = {f"config/{name}": float(value) for name, value in numbers.items()}
            if trial.state is TrialState.COMPLETE:
                metrics |= dict(zip(sweep.spec.objectives, trial.values, strict=True))
            logger.log_metrics({"trial": float(trial.number), **metrics}, step=trial.number)
        tracker.log_figures(logger, figures(sweep))
