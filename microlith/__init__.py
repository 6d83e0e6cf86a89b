"""Lithium diffusion in segmented images of battery electrodes: what the command line does, as functions.

    import microlith as ml

    case = ml.load_case("cases/slab/case.toml")
    result = ml.run(case)
    result.curves["slab"]

All other modules are internal. Importing this one is quick: libraries are loaded when a function needs them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from microlith.imaging.parallel.startup import settle as _settle

if TYPE_CHECKING:
    from microlith.api import (
        Case,
        Check,
        MeshOfCase,
        RegionResult,
        Result,
        Segmented,
        SweptCase,
        analyze,
        case,
        check,
        compare,
        converge,
        effective_diffusivity,
        effective_diffusivity_tensor,
        estimate,
        export,
        fit,
        load_case,
        mesh,
        open_results,
        report,
        run,
        segment,
        sweep,
    )
    from microlith.imaging.errors import InputError
    from microlith.workflow.analysis.analysis import Analysis
    from microlith.workflow.comparison.comparison import Comparison
    from microlith.workflow.estimate.estimate import Estimate
    from microlith.workflow.fit.fitted import Fit
    from microlith.workflow.studies.diffusivity_tensor import DiffusivityTensor
    from microlith.workflow.studies.effective_diffusivity import EffectiveDiffusivity
    from microlith.workflow.studies.study import Study

__all__ = [
    "Analysis",
    "Case",
    "Check",
    "Comparison",
    "DiffusivityTensor",
    "EffectiveDiffusivity",
    "Estimate",
    "Fit",
    "InputError",
    "MeshOfCase",
    "RegionResult",
    "Result",
    "Segmented",
    "Study",
    "SweptCase",
    "analyze",
    "case",
    "check",
    "compare",
    "converge",
    "effective_diffusivity",
    "effective_diffusivity_tensor",
    "estimate",
    "export",
    "fit",
    "load_case",
    "mesh",
    "open_results",
    "report",
    "run",
    "segment",
    "sweep",
]

_settle()  # before anything imports the libraries that it is about

_ELSEWHERE = {
    "Comparison": "microlith.workflow.comparison.comparison",
    "Analysis": "microlith.workflow.analysis.analysis",
    "DiffusivityTensor": "microlith.workflow.studies.diffusivity_tensor",
    "EffectiveDiffusivity": "microlith.workflow.studies.effective_diffusivity",
    "Estimate": "microlith.workflow.estimate.estimate",
    "Fit": "microlith.workflow.fit.fitted",
    "InputError": "microlith.imaging.errors",
    "Study": "microlith.workflow.studies.study",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'microlith' has no attribute '{name}'")
    return getattr(import_module(_ELSEWHERE.get(name, "microlith.api")), name)


def __dir__() -> list[str]:
    return [*__all__, "__doc__"]
