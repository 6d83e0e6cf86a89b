"""What a segmentation found, as JSON and in words."""

from typing import Any

import numpy as np

from microlith.imaging.axes import axis_names
from microlith.imaging.columns.appearance import FEWEST
from microlith.imaging.columns.through import Through
from microlith.imaging.errors import listed
from microlith.imaging.segmentation import thresholds
from microlith.imaging.segmentation.classing import ByForest, ByRegions
from microlith.imaging.segmentation.deblurred import ByBlur
from microlith.imaging.segmentation.multistage import ByStages
from microlith.imaging.segmentation.segment import Segmented
from microlith.imaging.segmentation.shine_through import ByColumns
from microlith.imaging.segmentation.thresholds import ByThresholds
from microlith.workflow.segment.request import Request

# Painted regions of a phase, below which a forest has little to learn from: of 12 such scribbles on a phantom where
# deeper slices shine through, 5 had a range of the pores' volume fraction that misses the truth; of 4 with more, 1 had
FEW_REGIONS = 10
MUCH_THIN = 0.02  # share of the volume in layers that may be narrower ones of another phase
LEAST_RIGHT = 0.9  # share of the painted regions that is classed correctly, below which that is a warning
MOST_DOUBTFUL = 0.2  # share of the voxels
# The same where a blur explains the image: a phantom of four phases, fine structures, of which 5 % was wrong, had 0.22
MOST_DOUBTFUL_BLURRED = 0.3
# Contrasts by which brightness differs across slices: with half of one the Dice coefficient of a phantom was as
# without, 0.970, with one it was 0.84
MOST_UNEVEN = 0.7
# Height of a phase's peak, below which it is none. Of phantoms of 64^3 voxels, by Otsu's thresholds and in stages,
# those of which half and more was wrong (0.8 % of pores, too few for a peak) had 0.94 to 0.98 for one phase, those with
# layers of one to three voxels 0.93 to 1.03, all others 1.27 and more
LEAST_HEIGHT = 1.1
# Share of the contrast by which pores before solids are brighter than behind them, less three standard errors, from
# which thresholds are told to be misled by what shines through. On 12 phantoms with shine-through it was 2.9 to 13.5 %
# by labels of `multistage`, on 23 without 0.4 % at most
MISLED = 0.025


def entries(request: Request, found: Segmented) -> dict[str, Any]:
    """All that segment.json says, but for versions, image and times."""
    voxels = sum(found.counts)
    method = method_entries(found)
    plain = isinstance(found.decision, ByRegions) and method.get("shine_through") is not None
    if plain or (isinstance(found.decision, ByStages) and request.options.deblur):
        method["deblurred"] = None
    decision = found.decision.begun if isinstance(found.decision, ByBlur) else found.decision
    if isinstance(decision, ByThresholds | ByStages) and request.options.method != "thresholds":  # one's own
        heights = thresholds.heights(decision.cuts, found.histogram)
        method["peaks"] = thresholds.peaks(found.histogram)
        method["heights"] = {n: h if np.isfinite(h) else None for n, h in zip(found.phases, heights, strict=True)}
    return {
        "title": request.title,
        "shape": list(found.labels.shape if found.dim == 3 else found.labels.shape[1:]),
        "voxel_size_m": list(found.voxel_size if found.dim == 3 else found.voxel_size[1:]),
        "filters": [{"name": done.name, "how": done.how} for done in found.filters],
        "outside": _outside_entries(found),
        "method": request.options.method,
        **method,
        "phases": {
            name: {
                "label": index + 1,
                "voxels": count,
                "volume_fraction": count / voxels,
                **_moved_entries(found, name, voxels),
            }
            for index, (name, count) in enumerate(zip(found.phases, found.counts, strict=True))
        },
        "cleanup": [
            {"step": one.step, "phase": one.phase, "pieces": one.pieces, "voxels": one.voxels} for one in found.cleaned
        ],
        "certainty": {
            "shift": request.options.certainty.shift,
            "votes": request.options.certainty.votes if "forest" in method else None,
            "doubtful_voxels": found.doubtful,
            "doubtful_share": found.doubtful / voxels,
        },
    }


def _outside_entries(found: Segmented) -> dict[str, Any] | None:
    """What is no part of the sample, or may be none; None: nothing."""
    if found.outside is None:
        doubt = found.doubt
        return {"voxels": 0, "possible_value": doubt.value, "possible_share": doubt.share} if doubt else None
    dim, box = found.dim, found.box
    return {
        "voxels": found.outside.voxels,
        "share": found.outside.voxels / int(np.prod(found.labels.shape, dtype=np.int64)),
        "without_number": found.outside.blank,
        "value": _number(found.outside.value),
        "found": found.outside.found,
        "box": box and {axis: list(ends) for axis, ends in zip(axis_names(dim), box[-dim:], strict=True)},
    }


def outside_line(outside: dict[str, Any]) -> str:
    """What is no part of the sample, in a sentence."""
    kinds = [f"of the value {outside['value']:g}"] if outside["value"] is not None else []
    kinds += ["without a number (NaN)"] if outside["without_number"] else []
    value = " or ".join(kinds)
    else_ = ' (outside = "none" under [image] takes them for a phase)' if outside["found"] else ""
    box = outside["box"]
    within = ""
    if box is not None:
        ends = ", ".join(f"{axis} = [{first}, {last}]" for axis, (first, last) in reversed(box.items()))
        within = f"; about the largest box without any is crop = {{ {ends} }} of the labels"
    return (
        f"{100 * outside['share']:.2f} % of the voxels, {value}, are outside of the sample: they have label 0 and "
        f"count nowhere{else_}{within}"
    )


def warnings(told: dict[str, Any]) -> list[str]:
    """What the user has to hear, in sentences.

    Args:
        told: As `entries` gives it.
    """
    found = []
    forest = told.get("forest")
    if forest is not None:
        few = [f"{count} of {name}" for name, count in forest["painted_regions"].items() if count < FEW_REGIONS]
        if few:
            found.append(
                f"[segmentation] scribbles: the numbers of regions that they touch are few, {listed(few)}; with fewer "
                f"than {FEW_REGIONS} of a phase volume fractions may be outside of the range that is told for them; "
                "paint more of these"
            )
        if forest["right_out_of_bag"] is not None and forest["right_out_of_bag"] < LEAST_RIGHT:
            found.append(
                f"[segmentation] scribbles: of the painted regions only {100 * forest['right_out_of_bag']:.0f} % are "
                "classed correctly by trees that have not seen them; paint more, cut smaller regions, or use other "
                "filters"
            )
    outside = told["outside"]
    if outside is not None and not outside["voxels"]:
        found.append(
            f"{100 * outside['possible_share']:.0f} % of the voxels, at the edges of the slices, have exactly the "
            f"value {outside['possible_value']:g}, and are taken for a phase; if they are outside of the sample, say "
            f'outside = {outside["possible_value"]:g} under [image], else outside = "none"'
        )
    flat = [name for name, height in told.get("heights", {}).items() if height is not None and height < LEAST_HEIGHT]
    if flat:
        found.append(
            f"the histogram has no peak for {listed(flat)}: thresholds may lie within another phase's peak, and volume "
            f"fractions may be far outside of the ranges that are told; compare the labels "
            'with the image, and give thresholds (method = "thresholds") or filter the noise'
        )
    peaks = told.get("peaks", ())
    if len(peaks) > len(told["phases"]):
        found.append(
            f"the histogram has {len(peaks)} peaks, at {', '.join(f'{value:.4g}' for value in peaks)}, and "
            f"[segmentation] phases names {len(told['phases'])}: phases that differ are taken for one, and the "
            "thresholds may lie between any of them; name as many phases as there are, or give thresholds (method = "
            '"thresholds")'
        )
    shine = told.get("shine_through")
    if shine is not None and shine["other_way"]:
        found.append(
            f"{shine['through']} is more like other phases just behind them along z than just before them, by "
            f"{-100 * shine['share']:.0f} % of their contrast: if deeper slices shine through it, z runs out of the "
            "depth; reverse the order of the slices"
        )
    through = told.get("seen_through")
    if (
        through is not None
        and through["share_error"] is not None
        and abs(through["share"]) - 3 * through["share_error"] > MISLED
    ):
        before, behind = ("before", "behind") if through["share"] > 0 else ("behind", "before")
        found.append(
            f"{through['through']} is more like other phases {before} them along z than {behind} them, by "
            f"{100 * abs(through['share']):.0f} % of their contrast: deeper slices seem to shine through it, which "
            "thresholds take for another phase, so that volume fractions may be far outside of the ranges that are "
            'told; take method = "regions"' + ("" if before == "before" else ", with the slices in reverse order")
        )
    thin = _thin_layers(told)
    share = sum(thin.values())
    if share > MUCH_THIN:
        found.append(
            f"{100 * share:.1f} % of the volume is {' or '.join(thin)} in layers so thin that in this blur narrower "
            "layers of another phase within the same surroundings would look alike, such as cracks within a brighter "
            "phase; the ranges allow for both; smaller voxels or less blur tell them apart"
        )
    uneven = (told.get("deblurred") or {}).get("uneven_contrasts", 0.0)
    if uneven > MOST_UNEVEN:
        found.append(
            f"brightness across slices differs by {uneven:.1f} times the contrast of two phases, more than "
            "labels can be found in spite of; take it out with [filters] background = 2, or crop the image"
        )
    doubtful = told["certainty"]["doubtful_share"]
    if doubtful > (MOST_DOUBTFUL_BLURRED if told.get("deblurred") else MOST_DOUBTFUL):
        found.append(
            f"{100 * doubtful:.0f} % of the voxels are doubtful: the grey values do not tell the phases apart; filter "
            "the noise, or choose another method"
        )
    return found


def method_entries(found: Segmented) -> dict[str, Any]:
    """What the method found out."""
    decision = found.decision
    told: dict[str, Any] = {}
    columns = decision if isinstance(decision, ByColumns) else None
    decision = columns.regions if columns else decision
    if isinstance(decision, ByBlur):
        told["deblurred"] = _deblurred_entries(found, decision)
        decision = decision.begun
    if isinstance(decision, ByThresholds | ByStages):
        told["thresholds"] = decision.cuts.values
        told["mean_grey"] = dict(zip(found.phases, decision.cuts.means, strict=True))
    if found.through is not None and np.isfinite(found.through.error):
        told["seen_through"] = {
            "through": found.phases[found.through.clear],
            "share": found.through.share,
            "share_error": found.through.error,
        }
    if isinstance(decision, ByRegions):
        if decision.through is not None:
            told["shine_through"] = _shine_entries(found.phases, decision.through, columns)
        told["regions"] = {
            "number": len(decision.regions.features),
            "per_slice": decision.regions.per_slice,
            "scale": decision.regions.scale,
            "features": decision.regions.names,
            "levels": decision.levels,
        }
        if isinstance(decision.classes, ByForest):
            forest = decision.classes
            told["forest"] = {
                "painted_regions": dict(zip(found.phases, forest.painted, strict=True)),
                "regions_painted_with_several_phases": forest.mixed,
                "right_out_of_bag": forest.right,
                "importance": forest.importance,
            }
    if isinstance(decision, ByStages):
        told["stages"] = [
            {
                "stage": stage.name,
                "phases": [found.phases[i] for i in stage.phases],
                "thresholds": stage.thresholds,
                "voxels_in_histogram": stage.voxels,
            }
            for stage in decision.stages
        ]
        told["partial_volume"] = decision.rim
    return told


def _deblurred_entries(found: Segmented, decision: ByBlur) -> dict[str, Any]:
    """The blur that the image was explained with."""
    model = decision.model
    means = (float(model.zero + model.unit * mean) for mean in model.mean)
    return {
        "mean_grey": dict(zip(found.phases, means, strict=True)),
        "blur_voxels": list(model.blur if found.dim == 3 else model.blur[1:]),
        "noise": model.unit * model.noise,
        "uneven": model.unit * model.shading.range,
        "uneven_contrasts": model.shading.range * (len(found.phases) - 1) / float(np.ptp(model.mean)),
        "voxels_changed": decision.changed,
        "thin_layers": dict(zip(found.phases, decision.thin, strict=True)),
    }


def _shine_entries(phases: tuple[str, ...], through: Through, decision: ByColumns | None) -> dict[str, Any] | None:
    """What deeper slices add to pores; None: it could not be learnt."""
    own = {
        "through": phases[through.clear],
        "share": _number(through.share),
        "share_error": _number(through.error),
        "other_way": through.other_way,
    }
    if decision is None:
        return own if through.nothing else None
    model = decision.model
    states, looks = model.states, model.looks
    n = len(states.solids)
    return {
        **own,
        "mean_grey": {phases[k]: float(looks.mean[i]) for i, k in enumerate(states.solids)},
        "mean_grey_empty": float(looks.mean[-1]),
        "mean_grey_before": {
            phases[k]: [
                float(looks.mean[n * away + i]) if looks.voxels[n * away + i] >= FEWEST else None
                for away in range(1, states.depth + 1)
            ]
            for i, k in enumerate(states.solids)
        },
        "blur_voxels": model.blur,
        "noise": model.noise,
        "voxels_changed": decision.changed,
    }


def _thin_layers(told: dict[str, Any]) -> dict[str, float]:
    """Shares of the volume, of the phases that are in layers that may be narrower ones of others."""
    return {name: share for name, share in (told.get("deblurred") or {}).get("thin_layers", {}).items() if share > 0}


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _moved_entries(found: Segmented, name: str, voxels: int) -> dict[str, float]:
    moved = found.moved.get(name)
    if moved is None:
        return {}
    return {"volume_fraction_smaller": moved.fewest / voxels, "volume_fraction_larger": moved.most / voxels}


def text(told: dict[str, Any]) -> str:
    """The same for people."""
    lines = [told["title"], "=" * len(told["title"]), ""]
    shape = " x ".join(str(n) for n in told["shape"][::-1])
    axes = "x, y, z" if len(told["shape"]) == 3 else "x, y"
    edges = " x ".join(f"{edge * 1e9:.4g}" for edge in told["voxel_size_m"][::-1])
    lines += [f"{shape} voxels of {edges} nm ({axes})"]
    if told["outside"] is not None and told["outside"]["voxels"]:
        lines += [outside_line(told["outside"])]
    lines += [""]
    lines += [f"filter {i}: {f['name']}, {f['how']}" for i, f in enumerate(told["filters"], 1)] or ["no filters"]
    lines += ["", f"method: {told['method']}"]
    if "thresholds" in told:
        lines += [f"thresholds: {', '.join(f'{t:.6g}' for t in told['thresholds'])}"]
        lines += [f"mean grey value of {name}: {mean:.6g}" for name, mean in told["mean_grey"].items()]
    lines += [
        f"{stage['stage']}, {', '.join(stage['phases'])}: {', '.join(f'{t:.6g}' for t in stage['thresholds'])}"
        for stage in told.get("stages", ())
    ]
    if "regions" in told:
        regions = told["regions"]
        lines += [
            f"{regions['number']} regions, {regions['per_slice']:.0f} a slice, with scale {regions['scale']:.3g}",
            f"shares were counted above: {', '.join(f'{v:.6g}' for v in regions['levels']) or 'none'}",
        ]
    if "deblurred" in told and told["deblurred"] is None:
        lines.append(
            "labels are those of the regions: two phases are about as bright, or one has few voxels, or no blur "
            "explains the image"
            if "regions" in told
            else "labels are those of the thresholds: no blur explains the image with phases from dark to bright"
        )
    elif "deblurred" in told:
        shown = told["deblurred"]
        widths = " x ".join(f"{width:.1f}" for width in shown["blur_voxels"][::-1])
        lines += [
            f"blur: {widths} voxels (standard deviation along {axes}); noise: {shown['noise']:.3g}",
            f"mean grey values without it: {', '.join(f'{n} {m:.6g}' for n, m in shown['mean_grey'].items())}",
            f"brightness across slices differs by {shown['uneven']:.3g} at most, and is taken into account",
            f"labels changed to explain the grey values by this blur: {shown['voxels_changed']} voxels",
        ]
        thin = [f"{name} {100 * share:.2f} %" for name, share in _thin_layers(told).items()]
        if thin:
            lines.append(f"in layers so thin that they may be narrower ones of another phase: {', '.join(thin)}")
    if "shine_through" in told and told["shine_through"] is None:
        lines.append(
            "labels are those of the regions: what shines through pores could not be learnt, as two phases are about "
            "as bright or one has few voxels"
        )
    elif "shine_through" in told and "mean_grey" not in told["shine_through"]:
        shown = told["shine_through"]
        lines.append(
            f"nothing shines through {shown['through']}: before other phases it is more like them than behind them by "
            f"{100 * shown['share']:.1f} +- {100 * shown['share_error']:.1f} % of their contrast"
        )
    elif "shine_through" in told:
        shown = told["shine_through"]
        lines += [
            f"{shown['through']} with nothing behind it: {shown['mean_grey_empty']:.4g}",
            *(
                f"{name}: {shown['mean_grey'][name]:.4g}; {shown['through']} 1, 2, ... slices before it: "
                f"{', '.join('-' if mean is None else f'{mean:.4g}' for mean in before)}"
                for name, before in shown["mean_grey_before"].items()
            ),
            f"blur within slices: {shown['blur_voxels']:.1f} voxels; noise: {shown['noise']:.3g}",
            f"labels that explain the grey values better than those of the regions: {shown['voxels_changed']} voxels",
        ]
    if "forest" in told:
        forest = told["forest"]
        learnt = ", ".join(f"{count} of {name}" for name, count in forest["painted_regions"].items())
        first = sorted(forest["importance"].items(), key=lambda entry: -entry[1])[:5]
        right = forest["right_out_of_bag"]
        share = "" if right is None else f"{100 * right:.1f} %"
        lines += [
            f"painted regions: {learnt}; {forest['regions_painted_with_several_phases']} with several phases",
            *([f"of these {share} are classed correctly by trees that have not seen them"] if share else []),
            f"most important: {', '.join(f'{name} {share:.2f}' for name, share in first)}",
        ]
    lines.append("")
    for name, phase in told["phases"].items():
        span = ""
        if "volume_fraction_smaller" in phase:
            low, high = 100 * phase["volume_fraction_smaller"], 100 * phase["volume_fraction_larger"]
            span = f" ({low:.2f} to {high:.2f} %)"
        lines.append(f"label {phase['label']}, {name}: {100 * phase['volume_fraction']:.2f} %{span}")
    for one in told["cleanup"]:
        pieces = "" if one["pieces"] is None else f"{one['pieces']} pieces, "
        lines.append(f"clean-up, {one['step']} of {one['phase']}: {pieces}{one['voxels']} voxels changed")
    sure = told["certainty"]
    moved = f"thresholds are moved by {sure['shift']:g} of the contrast"
    if sure["votes"] is not None:
        moved = f"borders of regions are moved by {sure['shift']:g} of the contrast, and {sure['votes']:g} of the votes"
    lines += [
        "",
        f"doubtful: {100 * sure['doubtful_share']:.2f} % of the voxels, which change their label where {moved}",
        "In brackets: the volume fraction where the phase loses, and where it gets, what is doubtful.",
    ]
    if told.get("warnings"):
        lines += ["", *(f"Warning: {sentence}" for sentence in told["warnings"])]
    return "\n".join(lines) + "\n"
