"""Bad case files: one sentence each, naming file and key, exit status 2, nothing written."""

import json
from pathlib import Path

import pytest
from case_files import CASE, RICH, SMALL, edited, write_case

from microlith.workflow import cli

VOXEL = 'voxel_size = "12.5 nm"'
END = 'end = "100 s"'
SIZE = 'size = { grain = "25 nm" }'
BOX = 'box = { x = ["0.2 um", "0.6 um"], y = ["-1 um", "1.4 um"] }'
REGION_I = f"[regions.I]\n{BOX}"
POLYGON = 'polygon = [["0 um", "0 um"], ["1 um", "0 um"], ["0 um", "1 um"]]'
SNAPSHOTS = 'snapshots = ["0 s", "2 s", "100 s"]'
PORE = 'label = 0\nrole = "source"\nconcentration = "1 mol/L"'
GRAIN = 'label = 2\nrole = "barrier"'

# (what is replaced, by what, words that the message has to hold)
EDITS = {
    # units and numbers
    "no unit": (VOXEL, 'voxel_size = "12.5"', ["[image] voxel_size", "a length", '"12.5 nm"', "without a unit"]),
    "bare number": (VOXEL, "voxel_size = 12.5", ["[image] voxel_size", "a length", "bare number 12.5"]),
    "wrong unit": (VOXEL, 'voxel_size = "12.5 kg"', ["[image] voxel_size", "a length", '"kg"', "[mass]"]),
    "pixels": (VOXEL, 'voxel_size = "5 px"', ["[image] voxel_size", "a length", '"px", which is 1/96 inch']),
    "unknown unit": (VOXEL, 'voxel_size = "12.5 nmm"', ["[image] voxel_size", 'unknown unit "nmm"']),
    "millisecond in disguise": (END, 'end = "100 m,s"', ["[time] end", "unknown unit"]),
    "unit only": (VOXEL, 'voxel_size = "nm"', ["[image] voxel_size", "does not start with a number"]),
    "decimal comma": (VOXEL, 'voxel_size = "12,5 nm"', ["[image] voxel_size", "decimal sign is a point"]),
    "minus of print": (VOXEL, 'voxel_size = "\u221212.5 nm"', ["[image] voxel_size", 'type "-"']),
    "exponent with a dash": ('"3.01e-10 cm^2/s"', '"3.01e\u201310 cm^2/s"', ["[phases.sei] diffusivity", 'type "-"']),
    "power of ten": ('"3.01e-10 cm^2/s"', '"3.01 \u00d7 10^-10 cm^2/s"', ["[phases.sei] diffusivity", "as in 1e-14"]),
    "power of ten alone": ('"3.01e-10 cm^2/s"', '"10^-10 cm^2/s"', ["[phases.sei] diffusivity", "as in 1e-14"]),
    "space of print": (VOXEL, 'voxel_size = "12.5\u00a0nm"', ["[image] voxel_size", "non-breaking"]),
    "negative": (VOXEL, 'voxel_size = "-12.5 nm"', ["[image] voxel_size", "negative"]),
    "zero": (VOXEL, 'voxel_size = "0 nm"', ["[image] voxel_size", "above zero"]),
    "underflow": (VOXEL, 'voxel_size = "1e-400 nm"', ["[image] voxel_size", "above zero"]),
    "nan text": (VOXEL, 'voxel_size = "nan nm"', ["[image] voxel_size", "not a finite number"]),
    "inf text": (END, 'end = "inf s"', ["[time] end", "not a finite number"]),
    "overflow": (END, 'end = "1e308 days"', ["[time] end", "not a finite number"]),
    "one axis wrong": (VOXEL, 'voxel_size = { x = "1 nm", y = "2 s" }', ["[image] voxel_size.y", "a length"]),
    "one axis missing": (VOXEL, 'voxel_size = { x = "1 nm" }', ["[image] voxel_size", '"y" is missing']),
    "molar mass": ('"1 mol/L"', '"1 g/L"', ["[phases.pore] concentration", "a concentration", "[mass]"]),
    "negative concentration": ('"1 mol/L"', '"-1 mol/L"', ["[phases.pore] concentration", "negative"]),
    "diffusivity as velocity": ('"3.01e-10 cm^2/s"', '"3e-10 cm/s"', ["[phases.sei] diffusivity", "a diffusivity"]),
    "zero diffusivity": ('"3.01e-10 cm^2/s"', '"0 cm^2/s"', ["[phases.sei] diffusivity", "above zero"]),
    "zero uptake": ('"1e-6 m/s"', '"0 m/s"', ["[phases.metal] uptake", "above zero"]),
    "zero mass transfer": ('"0.001 m/s"', '"0 m/s"', ["[phases.pore] mass_transfer", "above zero"]),
    "nan number": ("tolerance = 1e-4", "tolerance = nan", ["[time] tolerance", "nan"]),
    "negative decay": ('"0 mol/L"', '"0 M"\ndecay = "-1 1/s"', ["[phases.sei] decay", "negative"]),
    "decay as a time": ('"0 mol/L"', '"0 M"\ndecay = "5 s"', ["[phases.sei] decay", "a rate", "0.01 1/s", "a time"]),
    "negative initial": ('"0 mol/L"', '"-1 mM"', ["[phases.sei] initial", "negative"]),
    "name no file can have": (
        'title = ', 'initial = { from = "~nobody-of-that-name/x" }\ntitle = ', ["initial.from", "can't be read"],
    ),
    # types
    "true is no number": ("porosity = 0.64", "porosity = true", ["[phases.sei] porosity", "a number", "true"]),
    "range the wrong way": ("label = 2\nrole", 'label = "9-5"\nrole', ["[phases.grain] label", '"100-180"', '"9-5"']),
    "range of one that is another's": (
        "label = 2\nrole",
        'label = [2, "3-9"]\nrole',
        ["[phases.grain] label", 'label 3 is claimed by "metal" already'],
    ),
    "ranges that overlap": ("label = 2\nrole", 'label = ["2-5", "5-9"]\nrole', ["[phases.", "label 3 is claimed"]),
    "rest twice": (
        GRAIN + "\n\n[phases.metal]\nlabel = 3",
        'label = "rest"\nrole = "barrier"\n\n[phases.metal]\nlabel = "rest"',
        ["[phases.metal] label", '"rest" is claimed by "grain"'],
    ),
    "range beside a colour": (
        "label = 2\nrole",
        'label = ["#ff0000", "3-9"]\nrole',
        ["[phases.grain] label", "got both"],
    ),
    "a word that is no label": ("label = 2\nrole", 'label = "others"\nrole', ["[phases.grain] label", '"rest"']),
    "true is no label": ("label = 2\nrole", "label = true\nrole", ["[phases.grain] label", "true"]),
    "fraction of a degree": ("degree = 3", "degree = 2.0", ["[mesh] degree", "whole number"]),
    "number as text": ("porosity = 0.64", 'porosity = "0.64"', ["[phases.sei] porosity", "a number"]),
    "list for a text": ('title = "Test case"', "title = []", ["title", "a text"]),
    "table for a list": (SNAPSHOTS, "snapshots = {}", ["[time] snapshots", "a list"]),
    "date": (END, "end = 2020-01-01", ["[time] end", "a time", "2020-01-01"]),
    "array of tables": ("[time]", "[[time]]", ["time", "the table [time]", "a list"]),
    "text for a table": (SIZE, 'size = "25 nm"', ["[mesh] size", "a table such as"]),
    # ranges
    "porosity 0": ("porosity = 0.64", "porosity = 0", ["[phases.sei] porosity", "at least 1e-06", "at most 1"]),
    "porosity above 1": ("porosity = 0.64", "porosity = 1.01", ["[phases.sei] porosity", "at most 1"]),
    "degree 4": ("degree = 3", "degree = 4", ["[mesh] degree", "at most 3"]),
    "tolerance 0": ("tolerance = 1e-4", "tolerance = 0", ["[time] tolerance", "1e-10"]),
    "tolerance tiny": ("tolerance = 1e-4", "tolerance = 1e-11", ["[time] tolerance", "1e-10"]),
    "tolerance 1": ("tolerance = 1e-4", "tolerance = 1", ["[time] tolerance", "0.5"]),
    "growth 0": ("growth = 0.3", "growth = 0", ["[mesh] growth", "at least 0.001"]),
    "tortuosity below 1": ('effective = "bruggeman"', "effective = { tortuosity = 0.9 }", ["effective.tortuosity"]),
    "tortuosity inf": ('effective = "bruggeman"', "effective = { tortuosity = inf }", ["effective.tortuosity", "inf"]),
    "coarsen 0": (VOXEL, "coarsen = 0", ["[image] coarsen", "at least 1"]),
    "size above size_max": (SIZE, 'size = { grain = "250 nm" }', ["[mesh] size.grain", "size_max"]),
    "size in a region above size_max": (SIZE, 'size_in = { I = "250 nm" }', ["[mesh] size_in.I", "size_max, 200 nm"]),
    "size in an unknown region": (SIZE, 'size_in = { rims = "20 nm" }', ["[mesh] size_in.rims", 'did you mean "rim"']),
    "size in a shell": (SIZE, 'size_in = { rim = "20 nm" }', ["[mesh] size_in.rim", "neither a box nor a disk"]),
    "colour part": ("label = 2\nrole", "label = { rgb = [0, 0, 256] }\nrole", ["label.rgb, item 3", "at most 255"]),
    # unknown and missing keys
    "unknown key": (VOXEL, 'voxelsize = "12.5 nm"', ["[image]", '"voxelsize"', '"voxel_size"']),
    "capital key": (VOXEL, 'Voxel_Size = "12.5 nm"', ["[image]", '"Voxel_Size"', '"voxel_size"']),
    "far-off key": (VOXEL, "qqq = 1", ["[image]", '"qqq"', "known keys: file, voxel_size"]),
    "unknown table": ("[time]", "[tiem]", ["top level", '"tiem"', '"time"']),
    "unknown phase key": ('uptake = "1e-6 m/s"', 'uptaek = "1e-6 m/s"', ["[phases.metal]", '"uptaek"', '"uptake"']),
    "unknown region key": (BOX, "boks = {}", ["[regions.I]", '"boks"', '"box"']),
    "unknown nested key": ('around = "grain"', 'arround = "grain"', ["[regions.rim] shell", '"arround"', '"around"']),
    "no file": ('file = "image.tif"\n', "", ["[image]", '"file" is missing']),
    "no end": (END + "\n", "", ["[time]", '"end" is missing', '"100 s"']),
    "no label": ("label = 2\nrole", "role", ["[phases.grain]", '"label" is missing']),
    "no role": (GRAIN, "label = 2", ["[phases.grain]", '"role" is missing', '"barrier"']),
    "no image table": ('[image]\nfile = "image.tif"\nvoxel_size = "12.5 nm"\n', "", ["the table [image] is missing"]),
    # roles
    "unknown role": ('"barrier"', '"barier"', ["[phases.grain] role", '"barier"', '"barrier"']),
    "barrier with diffusivity": (
        GRAIN, f'{GRAIN}\ndiffusivity = "1 m^2/s"', ["[phases.grain] diffusivity", '"barrier"', '"transport"'],
    ),
    "barrier with decay": (GRAIN, f'{GRAIN}\ndecay = "1 1/s"', ["[phases.grain] decay", '"barrier"', '"transport"']),
    "source with uptake": (PORE, f'{PORE}\nuptake = "1 m/s"', ["[phases.pore] uptake", '"source"', '"sink"']),
    "source without concentration": ('concentration = "1 mol/L"\n', "", ["[phases.pore]", '"concentration"']),
    "sink without uptake": ('uptake = "1e-6 m/s"\n', "", ["[phases.metal]", '"uptake"']),
    "transport without diffusivity": ('diffusivity = "3.01e-10 cm^2/s"\n', "", ["[phases.sei]", '"diffusivity"']),
    "bruggeman without porosity": ("porosity = 0.64\n", "", ["[phases.sei] effective", '"porosity"']),
    "unknown model": ('effective = "bruggeman"', 'effective = "brugeman"', ["[phases.sei] effective", '"bruggeman"']),
    "two models": (
        'effective = "bruggeman"', "effective = { tortuosity = 2, bruggeman = 2 }", ["exactly one", "tortuosity"],
    ),
    "exponent of maxwell": (
        'effective = "bruggeman"', 'effective = { model = "maxwell", exponent = 2 }', ["effective", "no exponent"],
    ),
    "exponent alone": (
        'effective = "bruggeman"', "effective = { tortuosity = 2, exponent = 2 }", ["effective.exponent", '"model"'],
    ),
    "no transport phase": (
        'role = "transport"\ndiffusivity = "3.01e-10 cm^2/s"\nporosity = 0.64\neffective = "bruggeman"\n'
        'initial = "0 mol/L"', 'role = "barrier"', ["[phases]", '"transport"'],
    ),
    "label twice": ("label = 2\nrole", "label = 1\nrole", ["[phases.grain] label", "label 1", '"sei"']),
    "label twice in a list": ("label = 2\nrole", "label = [4, 4]\nrole", ["[phases.grain] label", "twice"]),
    "colour among labels": ("label = 2\nrole", 'label = "#ff0000"\nrole', ["[phases.grain] label", "pixel value"]),
    "colour and label": ("label = 2\nrole", 'label = [2, "#ff0000"]\nrole', ["[phases.grain] label", "both"]),
    "bad colour": ("label = 2\nrole", 'label = "red"\nrole', ["[phases.grain] label", "#ff8800"]),
    "no labels": ("label = 2\nrole", "label = []\nrole", ["[phases.grain] label", "one or more"]),
    "phase name": ("[phases.grain]", '[phases."a b"]', ["[phases]", '"a b"', "letters"]),
    # faces and names of phases
    "unknown face": ("[faces.x_min]", "[faces.xmin]", ["[faces]", '"xmin"', '"x_min"']),
    "face without condition": (
        'concentration = "500 mol/m^3"\n', "", ["[faces.x_min]", "exactly one of concentration, flux, current_density"],
    ),
    "size of unknown phase": (SIZE, 'size = { grian = "25 nm" }', ["[mesh] size", '"grian"', '"grain"']),
    "shell around unknown phase": ('around = "grain"', 'around = "gain"', ["shell.around", '"gain"', '"grain"']),
    "region of unknown phase": ('phase = "sei"', 'phase = "sie"', ["[regions.all] phase", '"sie"', '"sei"']),
    "region of unsolved phase": ('phase = "sei"', 'phase = "grain"', ["[regions.all] phase", "not solved for", "sei"]),
    "box within unknown phase": (BOX, f'{BOX}\nin_phase = "sie"', ["[regions.I] in_phase", '"sie"', '"sei"']),
    "box within unsolved phase": (BOX, f'{BOX}\nin_phase = "grain"', ["[regions.I] in_phase", "not solved for"]),
    "phase within a phase": (
        'phase = "sei"', 'phase = "sei"\nin_phase = "sei"', ["[regions.all] in_phase", "of one phase already"],
    ),
    "shell within its phase": (
        'around = "grain", distance = "100 nm" }', 'around = "sei", distance = "100 nm" }\nin_phase = "sei"',
        ["[regions.rim] in_phase", "nothing of sei"],
    ),
    # time
    "end 0": (END, 'end = "0 s"', ["[time] end", "above zero"]),
    "end negative": (END, 'end = "-1 s"', ["[time] end", "negative"]),
    "snapshot after the end": (SNAPSHOTS, 'snapshots = ["1 s", "2 min"]', ["[time] snapshots, item 2", "120 s"]),
    "snapshot before the start": (SNAPSHOTS, 'snapshots = ["-1 s"]', ["[time] snapshots, item 1", "negative"]),
    "time after the end": ('["1 s", "1 min"]', '["1 s", "1 h"]', ["[time] times, item 2", "3600 s"]),
    "times not increasing": ('["1 s", "1 min"]', '["1 s", "2 s", "2 s"]', ["[time] times, item 3", "increase"]),
    "no times": ('["1 s", "1 min"]', "[]", ["[time] times", "one or more"]),
    # regions
    "box reversed": (BOX, 'box = { x = ["2 um", "1 um"] }', ["[regions.I] box.x", "reversed"]),
    "box empty": (BOX, 'box = { x = ["2 um", "2 um"] }', ["[regions.I] box.x", "empty"]),
    "box without axes": (BOX, "box = {}", ["[regions.I] box", "empty table"]),
    "box corner missing": (BOX, 'box = { x = ["2 um"] }', ["[regions.I] box.x", "2 coordinates", "got 1"]),
    "box corner bare": (BOX, "box = { x = [1, 2] }", ["[regions.I] box.x, item 1", "a length", "bare number"]),
    "region without kind": (BOX, "", ["[regions.I]", "exactly one of", "box", "labels"]),
    "two kinds": (BOX, f'{BOX}\nphase = "sei"', ["[regions.I]", "exactly one of", "box and phase"]),
    "label without labels": (BOX, f"{BOX}\nlabel = 1", ["[regions.I] label", '"labels"']),
    "region name": (REGION_I, f'[regions."a,b"]\n{BOX}', ["[regions]", '"a,b"', "letters"]),
    "region named as the time": (REGION_I, f"[regions.time_s]\n{BOX}", ["[regions]", "time_s", "curves.csv"]),
    "sphere of a disk's centre": (
        'disk = { center = ["1 um", "2 um"]',
        'sphere = { center = ["1 um", "2 um"]',
        ["spot] sphere.center: expected a list of 3 coordinates, got 2; 2 belong to a disk, which is for 2D images"],
    ),
    "disk in 3D": ('disk = { center = ["1 um", "2 um"]', 'disk = { center = ["1 um"]', ["spot] disk.center", "2"]),
    "two corners": (POLYGON, 'polygon = [["0 um", "0 um"], ["1 um", "0 um"]]', ["triangle] polygon", "3 to 2000"]),
    "bow tie": (
        POLYGON, 'polygon = [["0 um", "0 um"], ["1 um", "1 um"], ["1 um", "0 um"], ["0 um", "1 um"]]',
        ["triangle] polygon", "the edges cross each other"],
    ),
    "unit of a mesh of ours": (
        SIZE, f'{SIZE}\nfile = "mesh.vtkhdf"\nunit = "1 um"',
        ["[mesh] unit", "one of microlith knows its unit; remove unit"],
    ),
    "mesh of others beside an image": (
        SIZE, f'{SIZE}\nfile = "mesh.msh"\nunit = "1 um"', ["[mesh] unit", "they take the place of [image]"],
    ),
    "flat polygon": (
        POLYGON, 'polygon = [["0 um", "0 um"], ["1 um", "1 um"], ["2 um", "2 um"]]', ["triangle] polygon", "no area"],
    ),
    "label image missing": ('labels = "image.tif"', 'labels = "no.tif"', ["[regions.drawn] labels", "no.tif"]),
    # image
    "label in quotes": ("label = 1", 'label = "1"', ["[phases.", "label", "without quotes"]),
    "image missing": ('[image]\nfile = "image.tif"', '[image]\nfile = "no.tif"', ["[image] file", "no.tif"]),
    "no slices": ('[image]\nfile = "image.tif"', '[image]\nfile = "s*.png"', ["[image] file", "s*.png", "matches"]),
    "dataset of no file": ('[image]\nfile = "image.tif"', '[image]\nfile = "no.h5:/a"', ["[image] file", "no.h5"]),
    "crop reversed": (VOXEL, "crop = { x = [5, 5] }", ["[image] crop.x", "first < last"]),
    "crop negative": (VOXEL, "crop = { x = [-1, 5] }", ["[image] crop.x, item 1", "at least 0"]),
    "raw float": (VOXEL, 'raw = { shape = [2, 2], dtype = "float32" }', ["[image] raw.dtype", "integer type"]),
    "raw without dtype": (VOXEL, "raw = { shape = [2, 2] }", ["[image] raw", '"dtype" is missing']),
    # slips in how a value is written
    "share in percent": ("porosity = 0.64", "porosity = 64", ["[phases.sei] porosity", "64; 64 % is written as 0.64"]),
    "percent sign": ("porosity = 0.64", 'porosity = "64 %"', ["[phases.sei] porosity", "; 64 % is written as 0.64"]),
    "comma in a text": (
        "porosity = 0.64", 'porosity = "0,64"', ["[phases.sei] porosity", "; the decimal sign is a point"],
    ),
    "number in quotes": (
        "porosity = 0.64", 'porosity = "0.64"', ["[phases.sei] porosity", "; write it without quotes"],
    ),
    "true in quotes": (SIZE, f'{SIZE}\nestimate = "true"', ["[mesh] estimate", "; write it without quotes"]),
    "one that is no list": (
        SNAPSHOTS, 'snapshots = "2 s"', ["[time] snapshots", '; a list stands in brackets, as in ["2 s"]'],
    ),
    "a unit for each pixel": (VOXEL, 'voxel_size = "12.5 nm/px"', ["[image] voxel_size", 'leave "/px" out']),
    "a unit for each voxel": (VOXEL, 'voxel_size = "12.5 nm / voxel"', ["[image] voxel_size", 'leave "/ voxel" out']),
    # TOML itself, in which the words name what may be meant
    "comma in a number": (
        "porosity = 0.64", "porosity = 0,64", ["not valid TOML: the decimal sign is a point (line 18, "],
    ),
    "no quotes": (VOXEL, "voxel_size = 12.5 nm", ['a quantity with its unit stands in quotes, as in "25 nm" (line']),
    "no quotes in a list": (SNAPSHOTS, "snapshots = [0 s, 2 s]", ["a quantity with its unit stands in quotes"]),
    "word without quotes": ('role = "source"', "role = source", ["a text stands in quotes", ": role = source)"]),
    "quotes of print": ('"12.5 nm"', "“12.5 nm”", ["these quotes are those of print"]),
    "no quote at the end": ('"12.5 nm"', '"12.5 nm', ["a text has no quote at its end"]),
    "colon": ("label = 0", "label: 0", ['"=" stands between a key and its value (line', ": label: 0)"]),
    "colon in braces": (SIZE, 'size = { grain: "25 nm" }', ['"=" stands between a key and its value']),
    "True": (SIZE, f"{SIZE}\nestimate = True", ["yes and no are written as true and false"]),
    "braces on two lines": (SIZE, 'size = {\n grain = "25 nm" }', ["a table in braces stands on one line"]),
    "comma at the end of braces": (SIZE, 'size = { grain = "25 nm", }', ["no comma follows its last entry"]),
    "folders of Windows": ('file = "', 'file = "C:\\Users\\', ['a backslash is not allowed in a text; write "/"']),
    "semicolon": ("label = 0", "label = 0;", ["a value ends its line; a comment begins with #"]),
    "semicolons in a list": (SNAPSHOTS, 'snapshots = ["0 s"; "2 s"]', ["a comma stands between the entries of a list"]),
    "name with a space": ("[phases.pore]", "[phases.the pore]", ['digits, "_" and "-", and no space']),
    "name with an accent": ("[phases.pore]", "[phases.größe]", ["letters without accents"]),
    "number without its first digit": (
        "porosity = 0.64", "porosity = .64", ["a digit stands before the decimal point"],
    ),
    "no value": (END, "end =", ["not valid TOML", "line"]),
    "table twice": ("[time]", "[mesh]\n[time]", ["not valid TOML: [mesh] is there twice", "line"]),
    "key twice": (END, f"{END}\n{END}", ["not valid TOML: end is there already (line", f": {END})"]),
    "list where a table is": ("[time]", "[[phases]]\n[time]", ["this name is taken by another key or table"]),
}  # fmt: skip

COURSE = 'values = ["0 M", "1 M", "500 mM", "0 M"], period = "2 min"'
TIMES = 'times = ["0 s", "10 s", "10 s", "1 min"]'
STEPS = 'times = ["5 s", "20 s", "30 s"], values = ["0 m/s", "1 um/s", "1 um/s"]'
FIRST = 'between = ["electrolyte", "silicon"]'
THIRD = 'between = ["silicon", "graphite"]'
FILM = 'film = { thickness = "10 nm", diffusivity = "1e-16 m^2/s" }'
TABLE = 'concentrations = ["0 M", "1 M", "2 M"], values'
LAW = 'expression = "D0 * (1 + c / c0)", D0'
AXES = '{ x = "2e-10 m^2/s", y = "5e-11 m^2/s" }'
UPTAKE = '{ rate = "1e-6 m/s", capacity = "1 nmol/cm^2" }'
PORE_AT, SILICON, GRAPHITE = (
    "[phases.pore] concentration",
    "[phases.silicon] diffusivity",
    "[phases.graphite] diffusivity",
)

# Edits of RICH.
RICH_EDITS = {
    # courses
    "lengths differ": (TIMES, 'times = ["0 s", "10 s"]', [PORE_AT, "as many values as times", "4 values and 2 times"]),
    "course decreases": (TIMES, 'times = ["0 s", "20 s", "10 s", "1 min"]', [f"{PORE_AT}.times, item 3", "increase"]),
    "time thrice": (TIMES, 'times = ["0 s", "10 s", "10 s", "10 s"]', [f"{PORE_AT}.times, item 4", "three times"]),
    "step twice": (STEPS, STEPS.replace('"20 s"', '"5 s"'), ["[phases.pore] mass_transfer.times, item 2", "increase"]),
    "time negative": (TIMES, 'times = ["-1 s", "10 s", "10 s", "1 min"]', [f"{PORE_AT}.times, item 1", "negative"]),
    "time bare": (TIMES, 'times = [0, "10 s", "10 s", "1 min"]', [f"{PORE_AT}.times, item 1", "a time", "number 0"]),
    "value unit": (COURSE, COURSE.replace("500 mM", "500 mm"), [f"{PORE_AT}.values, item 3", "a concentration", "mm"]),
    "value negative": (COURSE, COURSE.replace('"1 M"', '"-1 M"'), [f"{PORE_AT}.values, item 2", "negative"]),
    "period short": (COURSE, COURSE.replace("2 min", "30 s"), [f"{PORE_AT}.period", "30 s", "60 s"]),
    "period too short": (
        f"{TIMES}, {COURSE}",
        'times = ["0 s", "5 ms"], values = ["1 M", "0 M"], period = "10 ms"',
        [f"{PORE_AT}.period", "0.01 s", "3.6e+05 times", "at most 5000 times", "unit"],
    ),
    "period zero": (COURSE, COURSE.replace("2 min", "0 s"), [f"{PORE_AT}.period", "above zero"]),
    "no values": (COURSE, 'period = "2 min"', [PORE_AT, '"values" is missing']),
    "no knots": (f"{TIMES}, {COURSE}", "times = [], values = []", [f"{PORE_AT}.times", "one or more times"]),
    "interpolation": (COURSE, 'values = [], interpolation = "spline"', [f"{PORE_AT}", "one or more quantities"]),
    "unknown interpolation": (
        '"step"', '"steps"', ["[phases.pore] mass_transfer.interpolation", '"steps"', '"step"'],
    ),
    "unknown key of a course": (COURSE, f"{COURSE}, repeat = true", [PORE_AT, '"repeat"']),
    "mass transfer always zero": (
        STEPS, STEPS.replace("1 um/s", "0 um/s"), ["[phases.pore] mass_transfer.values", "all values are zero"],
    ),
    "uptake over time": (UPTAKE, '{ times = ["0 s"], values = ["1 m/s"] }', ["[phases.film] uptake", '"times"']),
    # sources and sinks
    "unknown face of a source": ('"y_max"', '"ymax"', ["[phases.pore] connected_to", '"ymax"', '"y_max"']),
    "sink connected": (
        f"uptake = {UPTAKE}", f'uptake = {UPTAKE}\nconnected_to = "x_min"', ["[phases.film] connected_to", '"source"'],
    ),
    "no rate": (UPTAKE, '{ capacity = "1 nmol/cm^2" }', ["[phases.film] uptake", '"rate" is missing']),
    "no capacity": (UPTAKE, '{ rate = "1 m/s" }', ["[phases.film] uptake", '"capacity" is missing']),
    "capacity per volume": (UPTAKE, UPTAKE.replace("cm^2", "cm^3"), ["uptake.capacity", "an amount per area", "cm^3"]),
    # diffusivities
    "one axis only": (AXES, '{ x = "2e-10 m^2/s" }', ["[phases.electrolyte] diffusivity", '"y" is missing']),
    "axis unknown": (AXES, AXES.replace("y =", "r ="), ["[phases.electrolyte] diffusivity", '"r"', "x, y, z"]),
    "axis zero": (AXES, AXES.replace("5e-11", "0"), ["[phases.electrolyte] diffusivity.y", "above zero"]),
    "axes as laws": (AXES, '{ x = { expression = "D" }, y = "1 m^2/s" }', ["diffusivity.x", "a diffusivity", "table"]),
    "table decreases": (TABLE, TABLE.replace("1 M", "3 M"), [f"{SILICON}.concentrations, item 3", "increase"]),
    "table of one": (TABLE, TABLE.replace('"1 M", "2 M"', ""), [f"{SILICON}.concentrations", "at least 2", "got 1"]),
    "table of two": (TABLE, TABLE.replace(', "2 M"', ""), [SILICON, "3 values and 2 concentrations"]),
    "table value zero": ('"3e-15 m^2/s"', '"0 m^2/s"', [f"{SILICON}.values, item 2", "above zero"]),
    "table with axes": (TABLE, f'x = "1 m^2/s", {TABLE}', [SILICON, '"x"', "concentrations, values"]),
    "law with an axis": (LAW, f'x = "1 m^2/s", {LAW}', [GRAPHITE, '"x" is not in the expression', "along all axes"]),
    "law of nothing": (LAW, 'expression = "", D0', [f"{GRAPHITE}.expression", "a text such as"]),
    "law runs code": (LAW, LAW.replace("1 +", "open('x') +"), [GRAPHITE, "open('x')", "not allowed"]),
    "law with units amiss": (LAW, LAW.replace(" / c0", ""), [GRAPHITE, '"1 + c"', "a concentration"]),
    "law negative": (LAW, LAW.replace("1 + c", "1 - c"), [GRAPHITE, "D is", "c = 50", "above zero"]),
    "parameter as a list": (LAW, LAW.replace(", D0", ", D1 = [1], D0"), [f"{GRAPHITE}.D1", "a quantity", "a list"]),
    "parameter unit": (LAW, LAW.replace(", D0", ', D1 = "1 xyzzy", D0'), [f"{GRAPHITE}.D1", 'unknown unit "xyzzy"']),
    "parameter name": (LAW, LAW.replace(", D0", ', "D-1" = 1, D0'), [GRAPHITE, '"D-1"', "letters"]),
    # interfaces
    "interfaces as a table": (f"[[interfaces]]\n{FIRST}", f"[interfaces]\n{FIRST}", ["not valid TOML"]),
    "one phase": (FIRST, 'between = ["silicon"]', ["[[interfaces]], number 1, between", "a list of 2", "got 1"]),
    "unknown phase": (THIRD, THIRD.replace("silicon", "silicone"), ["number 3, between, item 1", '"silicon"?']),
    "same phase": (THIRD, THIRD.replace("silicon", "graphite"), ["number 3, between", 'two different', '"graphite"']),
    "unsolved phase": (
        THIRD, THIRD.replace("silicon", "pore"), ["number 3, between, item 1", '"pore" is not solved for', "graphite"],
    ),
    "pair again": (
        THIRD, 'between = ["silicon", "electrolyte"]', ["number 3, between", "number 1 already"],
    ),
    "no law": ("partition = 0.5", "", ["[[interfaces]], number 3:", "at least one of partition, exchange, film"]),
    "partition zero": ("partition = 0.5", "partition = 0", ["number 3, partition", "at least 1e-12"]),
    "partition text": ("partition = 0.5", 'partition = "0.5"', ["number 3, partition", "a number"]),
    "exchange zero": ('"1 um/s"\n\n[[', '"0 um/s"\n\n[[', ["number 1, exchange", "above zero"]),
    "exchange unit": ('"1 um/s"\n\n[[', '"1 um^2/s"\n\n[[', ["number 1, exchange", "a velocity"]),
    "film and exchange": (FILM, f'{FILM}\nexchange = "1 m/s"', ["number 2, exchange", 'excludes "film"']),
    "film without diffusivity": (
        FILM, 'film = { thickness = "10 nm" }', ["number 2, film", '"diffusivity" is missing'],
    ),
    "unknown key of an interface": ("partition = 0.5", "partion = 0.5", ["number 3:", '"partion"', '"partition"']),
    # faces
    "two conditions": (
        'concentration = "1 M"\nmass', 'concentration = "1 M"\nflux = "1 mol/m^2/s"\nmass',
        ["[faces.x_min]", "exactly one", "concentration and flux"],
    ),
    "flux with mass transfer": (
        'current_density = "-1 mA/cm^2"', 'current_density = "-1 mA/cm^2"\nmass_transfer = "1 m/s"',
        ["[faces.y_min] mass_transfer", 'with "concentration" only'],
    ),
    "flux as a concentration": (
        '"-1e-6 mol/m^2/s", ', '"-1e-6 mol/m^3", ', ["[faces.x_max] flux.values, item 1", "a flux"],
    ),
    "current": ('"-1 mA/cm^2"', '"-1 mA"', ["[faces.y_min] current_density", "a current density", "mA"]),
    "face of an unknown phase": (
        'phases = ["graphite"]', 'phases = ["grafite"]', ["[faces.y_min] phases, item 1", '"grafite"', '"graphite"'],
    ),
    "face of a source": ('phases = ["graphite"]', 'phases = ["pore"]', ["[faces.y_min] phases, item 1", "not solved"]),
    "face of no phase": ('phases = ["graphite"]', "phases = []", ["[faces.y_min] phases", "one or more"]),
    "face twice of a phase": (
        'phases = ["graphite"]', 'phases = ["graphite", "graphite"]', ["[faces.y_min] phases, item 2", "listed twice"],
    ),
    # surfaces
    "surface of a source": ('"silicon"\nthreshold', '"pore"\nthreshold', ["[regions.skin] surface", "is a source"]),
    "surface of nothing": ('"silicon"\nthreshold', '"silicone"\nthreshold', ["[regions.skin] surface", '"silicon"?']),
    "threshold 1": ("threshold = 0.25", "threshold = 1", ["[regions.skin] threshold", "above 0 and below 1"]),
    "threshold 0": ("threshold = 0.25", "threshold = 0.0", ["[regions.skin] threshold", "above 0 and below 1"]),
    "threshold alone": (
        'surface = "silicon"\n', 'phase = "silicon"\n', ["[regions.skin] threshold", 'with "surface" only'],
    ),
}  # fmt: skip

TEXTS = {name: (edited(old, new), words) for name, (old, new, words) in EDITS.items()}
TEXTS |= {name: (edited(old, new, RICH), words) for name, (old, new, words) in RICH_EDITS.items()}
TEXTS |= {
    "all fluxes zero": (
        edited('role = "source"\nconcentration = "1 M"', 'role = "barrier"', SMALL)
        + '[faces.x_min]\nflux = { times = ["0 s"], values = ["0 mol/m^2/s"] }\n',
        ["[phases]", "all concentrations and fluxes are zero"],
    ),
    "nothing": ("", ["top level", "[image]", "is missing"]),
    "no source, no face": (
        edited('role = "source"\nconcentration = "1 M"', 'role = "barrier"', SMALL),
        ["[phases]", "nothing feeds", '"source"', "[faces.x_min]"],
    ),
    "all concentrations zero": (edited('"1 M"', '"0 M"', SMALL), ["[phases]", "zero"]),
    "no phases": ('[image]\nfile = "image.tif"\n[phases]\n[time]\nend = "1 s"', ["phases", "[phases.NAME]"]),
}

# Where several things are wrong, one sentence for each.
SEVERAL = {
    "box corner bare": 2,
    "no knots": 2,
    "interpolation": 2,
    "uptake over time": 2,
    "no transport phase": 2,
    "nothing": 3,
}


@pytest.mark.parametrize("name", TEXTS)
def test_one_sentence_and_status_2(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, words = TEXTS[name]
    path = write_case(tmp_path, text)
    before = sorted(tmp_path.rglob("*"))
    status = cli.main(["run", str(path), "-o", str(tmp_path / "results")])
    captured = capsys.readouterr()
    assert status == 2, captured.err
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert all(line.startswith(f"microlith: {path}: ") for line in lines)
    assert len(lines) == SEVERAL.get(name, 1), captured.err
    for word in words:
        assert word in captured.err, captured.err
    assert all(len(line) < 500 for line in lines), captured.err
    assert sorted(tmp_path.rglob("*")) == before, "bad input leaves nothing behind"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("no.toml", None, ["no.toml", "no such case file", "microlith init"]),
        (".", None, ["is a folder"]),
        ("latin.toml", 'title = "Größe"'.encode("latin-1"), ["latin.toml", "UTF-8"]),
        (
            "image.tif",
            b"II*\x00\xff\xfe",
            ["image.tif: this is no case file; name one, whose [image] file"],
        ),
        ("summary.json", b'{"a": 1}', ["summary.json: this is no case file", "`microlith init` writes one"]),
        ("deep.toml", b"a = " + 5000 * b"[", ["deep.toml", "not valid TOML"]),
    ],
)
def test_unreadable_case_file(
    name: str, content: bytes | None, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    assert cli.main(["check", str(path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    for word in words:
        assert word in error


def test_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    from microlith.workflow.case.read import load_case

    path = write_case(tmp_path)
    path.write_bytes(b"\xef\xbb\xbf" + CASE.encode())
    assert load_case(path).title == "Test case"


# What a JSON Schema can't see, and the parser refuses alone.
BEYOND_SCHEMA = {
    "range the wrong way", "range of one that is another's", "ranges that overlap", "rest twice",
    "range beside a colour",
    "no source, no face", "all concentrations zero", "wrong unit", "pixels",
    "a unit for each pixel", "a unit for each voxel", "decay as a time", "unknown unit", "zero",
    "underflow", "overflow", "molar mass", "diffusivity as velocity", "zero diffusivity", "zero uptake",
    "zero mass transfer", "size above size_max", "size in a region above size_max", "size in an unknown region",
    "size in a shell", "bruggeman without porosity", "exponent of maxwell",
    "no transport phase", "label twice", "label twice in a list", "colour among labels", "colour and label",
    "size of unknown phase", "shell around unknown phase", "region of unknown phase", "region of unsolved phase",
    "box within unknown phase", "box within unsolved phase", "phase within a phase", "shell within its phase",
    "end 0", "snapshot after the end", "time after the end", "times not increasing", "box reversed", "box empty",
    "flat polygon", "bow tie", "unit of a mesh of ours", "mesh of others beside an image",
    "region named as the time", "label image missing", "image missing", "no slices",
    "name no file can have",
    "dataset of no file", "crop reversed", "one axis wrong", "nan number", "fraction of a degree",
    "lengths differ", "course decreases", "time thrice", "step twice", "value unit", "period short", "period zero",
    "period too short",
    "mass transfer always zero", "capacity per volume", "axis zero", "table decreases", "table of two",
    "table value zero", "law with an axis", "law runs code", "law with units amiss", "law negative", "parameter unit",
    "unknown phase", "same phase", "unsolved phase", "pair again", "exchange zero", "exchange unit",
    "flux as a concentration", "current", "face of an unknown phase", "face of a source", "face twice of a phase",
    "surface of a source", "surface of nothing", "all fluxes zero",
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
def test_json_schema_refuses_what_it_can(name: str) -> None:
    import tomllib

    import jsonschema

    from microlith.workflow.schema.reference import json_schema

    try:
        data = json.loads(json.dumps(tomllib.loads(TEXTS[name][0]), default=str))
    except tomllib.TOMLDecodeError:
        return
    refused = not jsonschema.Draft202012Validator(json_schema()).is_valid(data)
    assert refused == (name not in BEYOND_SCHEMA)
