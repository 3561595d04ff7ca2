"""Every mistake in a sweep file or on the command line is one line: its place, and the remedy."""

import subprocess
import sys
from pathlib import Path

import pytest
from lr_grid import GRID, TEXT, edited, load, problems

from tune_app.sweep.load import load_sweep
from tune_app.sweep.prune import Prune

SWEEPS = Path(__file__).parents[3] / "sweeps"
SWEEP_KEYS = (
    "name, description, model, dataset, initial_weights, data_dir, fingerprints, seeds, train, "
    "prune, find, eval, search, rewind, baselines, masks, select_on, resources_per_trial, "
    "max_concurrent, checkpoint_every, max_failures"
)
RECIPE_KEYS = (
    "lr, batch_size, micro_batch, optimizer, weight_decay, momentum, clip_norm, label_smoothing, "
    "ema, duration, stop, warmup, decay, milestones, gamma, order_seed, precision"
)
RECIPE_SHAPE = "{" + ": .., ".join(RECIPE_KEYS.split(", ")) + ": ..}"
NAME_RULE = (
    "`name` must be letters, digits, `_`, `.` and `-`, at most 100, "
    "and start with a letter or digit"
)
STEPS_RULE = "expected epochs or iterations, such as 160ep or 500it"
MODEL_RULE = (
    "`model`: must be one of small_resnet, resnet20, resnet32, resnet56, resnet18, resnet34, "
    "resnet50, vgg16, lenet_300_100, or an import path such as my_package.nets:make_net"
)
DATA_RULE = (
    "`dataset`: must be one of digits, mnist_5000, mnist, fashion_mnist, cifar10, cifar100, "
    "tiny_imagenet, miniplaces, image_folder, synthetic, or an import path such as "
    "my_package.data:load"
)
TRAIN = TEXT[TEXT.index("train:") : TEXT.index("prune:")]
FIND = TEXT[TEXT.index("find:") : TEXT.index("eval:")]
EVAL = TEXT[TEXT.index("eval:") : TEXT.index("baselines:")]

MISTAKES = [
    # Keys.
    (9, "lr: 0.1", "learning_rate: 0.1", "unknown key `train.learning_rate`; did you mean `lr`?"),
    (13, "duration: 16ep", "epochs: 16", "unknown key `train.epochs`; did you mean `duration`?"),
    (6, "seeds:", "seed:", "unknown key `seed`; did you mean `seeds`?"),
    (12, "momentum:", "momentm:", "unknown key `train.momentm`; did you mean `momentum`?"),
    (12, "momentum:", "nesterov:", f"unknown key `train.nesterov`; known here: {RECIPE_KEYS}"),
    (
        2,
        "name: lr_grid",
        "name: lr_grid\ncolour: red",
        f"unknown key `colour`; known here: {SWEEP_KEYS}",
    ),
    (2, "name: lr_grid", "name: lr_grid\n'': 1", f"unknown key ``; known here: {SWEEP_KEYS}"),
    (
        2,
        "name: lr_grid",
        "name: lr_grid\n2020-01-01: 1",
        f"unknown key `2020-01-01`; known here: {SWEEP_KEYS}",
    ),
    (
        2,
        "name: lr_grid",
        'name: lr_grid\n"a\\nb": 1',
        f"unknown key `a\\nb`; known here: {SWEEP_KEYS}",
    ),
    (
        24,
        "values: [0.02",
        "vals: [0.02",
        "unknown key `find.parameters.lr.vals`; did you mean `values`?",
    ),
    (24, GRID, "lr: {min: 0.1}", "`find.parameters.lr`: needs `values`, or `min` and `max`"),
    (
        24,
        GRID,
        "rounds: {values: [1, 2]}",
        f"unknown key `find.parameters.rounds`; known here: {RECIPE_KEYS}",
    ),
    (
        23,
        f"parameters:\n    {GRID}",
        GRID,
        "unknown key `find.lr`; known here: train, method, parameters, points, rewind, "
        "resources, lpr_from",
    ),
    (1, "seeds: [0, 1, 2]", "", "`seeds` is required"),
    (8, "lr: 0.1", "", "`train.lr` is required"),
    (
        13,
        "momentum: 0.9",
        "momentum: 0.9\n  momentum: 0.8",
        "`momentum` is given twice (first at sweep.yaml:12)",
    ),
    # Types.
    (12, "momentum: 0.9", "momentum: fast", '`train.momentum` must be a number, got "fast"'),
    (12, "momentum: 0.9", "momentum: off", '`train.momentum` must be a number, got "off"'),
    (12, "momentum: 0.9", "momentum: true", "`train.momentum` must be a number, got true"),
    (12, "momentum: 0.9", "momentum:", "`train.momentum` must be a number, got null"),
    (12, "momentum: 0.9", "momentum: '0.9'", '`train.momentum` must be a number, got "0.9"'),
    (12, "momentum: 0.9", "momentum: 90%", '`train.momentum` must be a number, got "90%"'),
    (
        12,
        "momentum: 0.9",
        "momentum: 2020-01-01",
        '`train.momentum` must be a number, got "2020-01-01"',
    ),
    (
        12,
        "momentum: 0.9",
        "momentum: 2020-99-99",
        '`train.momentum` must be a number, got "2020-99-99"',
    ),
    (
        12,
        "momentum: 0.9",
        "momentum: .inf",
        "`train.momentum` must be a finite number, got Infinity",
    ),
    (12, "momentum: 0.9", "momentum: .nan", "`train.momentum` must be a finite number, got NaN"),
    (
        12,
        "momentum: 0.9",
        "momentum: 1e999",
        "`train.momentum` must be a finite number, got Infinity",
    ),
    (
        12,
        "momentum: 0.9",
        f"momentum: {'9' * 300}",
        f"`train.momentum` must be less than 1, got {'9' * 57}...",
    ),
    (
        12,
        "momentum: 0.9",
        f"momentum: {'9' * 5000}",
        f'`train.momentum` must be a number, got "{"9" * 56}...',
    ),
    (12, "momentum: 0.9", "momentum: [0.9]", "`train.momentum` must be a number, got [0.9]"),
    (10, "batch_size: 64", "batch_size: 64.0", "`train.batch_size` must be an integer, got 64.0"),
    (10, "batch_size: 64", "batch_size: 0.5", "`train.batch_size` must be an integer, got 0.5"),
    (10, "batch_size: 64", "batch_size: 1e2", "`train.batch_size` must be an integer, got 100.0"),
    (6, "seeds: [0, 1, 2]", "seeds: 3", "`seeds` must be a list, got 3"),
    (8, "seeds: [0, 1, 2]", "seeds:\n- 0\n- one", '`seeds.1` must be an integer, got "one"'),
    (
        31,
        "[global_random, preserve_lpr]",
        "global_random",
        '`baselines` must be a list, got "global_random"',
    ),
    (31, "[global_random, preserve_lpr]", "", "`baselines` must be a list, got null"),
    (
        13,
        "duration: 16ep",
        "duration: 16ep: 2",
        "not valid YAML: mapping values are not allowed here",
    ),
    (8, TRAIN, "train: sgd\n", f'`train` must be a mapping {RECIPE_SHAPE}, got "sgd"'),
    (
        22,
        FIND,
        "find:\n",
        "`find` must be a mapping {train: .., method: .., parameters: .., points: .., "
        "rewind: .., resources: .., lpr_from: ..}, got null",
    ),
    (
        24,
        GRID,
        "lr: [0.02, 0.1]",
        "`find.parameters.lr` must be a mapping {values: .., min: .., max: .., log: ..}, "
        "got [0.02, 0.1]",
    ),
    (24, GRID, "lr: {values: 0.1}", "`find.parameters.lr.values` must be a list, got 0.1"),
    (1, "name: lr_grid", "name: 12", "`name` must be text, got 12"),
    (1, "name: lr_grid", "name: true", "`name` must be text, got true"),
    (
        1,
        "name: lr_grid",
        "name: !!python/name:os.system",
        "the tag `python/name:os.system` is not supported",
    ),
    # Durations.
    (13, "duration: 16ep", "duration: 16", f"`train.duration`: {STEPS_RULE}, got 16"),
    (
        13,
        "duration: 16ep",
        "duration: 16 epochs",
        f"`train.duration`: {STEPS_RULE}, got '16 epochs'",
    ),
    (13, "duration: 16ep", "duration:", f"`train.duration`: {STEPS_RULE}, got None"),
    (
        13,
        "duration: 16ep",
        f"duration: {'9' * 5000}ep",
        f"`train.duration`: {STEPS_RULE}, got '999999999999...99999999999ep'",
    ),
    (14, "[8ep, 13ep]", "[8ep, 13]", f"`train.milestones.1`: {STEPS_RULE}, got 13"),
    (14, "[8ep, 13ep]", "8ep", '`train.milestones` must be a list, got "8ep"'),
    (13, "duration: 16ep", "duration: 0ep", "`train.duration`: must not be 0, got 0ep"),
    (
        14,
        "duration: 16ep",
        "duration: 16ep\n  warmup: 20ep",
        "`train.warmup`: must end by `duration` (16ep), got 20ep",
    ),
    (
        14,
        "duration: 16ep",
        "duration: 12ep",
        "`train.milestones.1`: must lie before the end of `duration` (12ep), got 13ep",
    ),
    (
        16,
        "[8ep, 13ep]",
        "\n  - 8ep\n  - 16ep",
        "`train.milestones.1`: must lie before the end of `duration` (16ep), got 16ep",
    ),
    (14, "[8ep, 13ep]", "[13ep, 8ep]", "`train.milestones.1`: must rise, got 8ep after 13ep"),
    (14, "[8ep, 13ep]", "[8ep, 8ep]", "`train.milestones.1`: must rise, got 8ep after 8ep"),
    # Choices.
    (
        4,
        "small_resnet",
        "smal_resnet",
        f"{MODEL_RULE}, got 'smal_resnet'; did you mean small_resnet?",
    ),
    (4, "small_resnet", "vgg", f"{MODEL_RULE}, got 'vgg'; did you mean vgg16?"),
    (4, "small_resnet", "réseau", f"{MODEL_RULE}, got 'réseau'"),
    (4, "small_resnet", "20", "`model` must be text, got 20"),
    (5, "digits", "cifar", f"{DATA_RULE}, got 'cifar'; did you mean cifar10?"),
    (5, "digits", "my_data.load", f"{DATA_RULE}, got 'my_data.load'"),
    *(
        (
            4,
            "small_resnet",
            f"'{path}'",
            "`model`: must be module:function if it has a colon, such as "
            f"my_package.nets:make_net, got '{path}'",
        )
        for path in ("nets:", ":net", "a:b:c", "my-nets:net", "./nets.py:net", "nets: net", ".a:b")
    ),
    (6, "digits", "digits\ndata_dir: 3", "`data_dir` must be text, got 3"),
    (
        31,
        "preserve_lpr]",
        "preserve_lrp]",
        "`baselines.1` must be one of global_random, erk, preserve_lpr, "
        'preserve_lpr_live, interpolated, reinit, signs, snip, grasp, synflow, got "preserve_lrp"; '
        "did you mean preserve_lpr?",
    ),
    (
        31,
        "baselines:",
        "select_on: tset\nbaselines:",
        '`select_on` must be one of validation, test, got "tset"; did you mean test?',
    ),
    # Bounds.
    (9, "lr: 0.1", "lr: 0", "`train.lr` must be greater than 0, got 0"),
    (
        10,
        "batch_size: 64",
        "batch_size: 0",
        "`train.batch_size` must be greater than or equal to 1, got 0",
    ),
    (
        11,
        "weight_decay: 5e-3",
        "weight_decay: -1",
        "`train.weight_decay` must be greater than or equal to 0, got -1",
    ),
    (19, "fraction: 0.3", "fraction: 30", "`prune.fraction` must be less than 1, got 30"),
    (20, "rounds: 11", "rounds: 0", "`prune.rounds` must be greater than or equal to 1, got 0"),
    (
        20,
        "rounds: 11",
        "rounds: 1001",
        "`prune.rounds` must be less than or equal to 1000, got 1001",
    ),
    (20, "rounds: 11", "final_sparsity: 98", "`prune.final_sparsity` must be less than 1, got 98"),
    (29, "[0.75,", "[0,", "`eval.at_sparsity.0` must be greater than 0, got 0"),
    (29, "[0.75, 0.92, 0.96, 0.972, 0.98]", "[]", "`eval.at_sparsity` must not be empty, got []"),
    (6, "seeds: [0, 1, 2]", "seeds: []", "`seeds` must not be empty, got []"),
    (24, GRID, "lr: {values: []}", "`find.parameters.lr.values` must not be empty, got []"),
    (
        24,
        GRID,
        "lr: {values: [0.1, -5]}",
        "`find.parameters.lr.values.1` must be greater than 0, got -5",
    ),
    (
        24,
        GRID,
        "lr: {values: [0.1, yes]}",
        '`find.parameters.lr.values.1` must be a number, got "yes"',
    ),
    (
        31,
        "baselines:",
        "max_failures: -1\nbaselines:",
        "`max_failures` must be greater than or equal to 0, got -1",
    ),
    (
        31,
        "baselines:",
        "resources_per_trial: {gpu: 1.5}\nbaselines:",
        "`resources_per_trial.gpu`: must be whole above 1, got 1.5",
    ),
    (
        29,
        "at_sparsity: [0.75, 0.92, 0.96, 0.972, 0.98]",
        "resources: {num_gpus: 1}",
        "unknown key `eval.resources.num_gpus`; did you mean `gpu`?",
    ),
    (
        29,
        "at_sparsity: [0.75, 0.92, 0.96, 0.972, 0.98]",
        "resources_per_trial: {gpu: 1}",
        "unknown key `eval.resources_per_trial`; did you mean `resources`?",
    ),
    (1, "name: lr_grid", "name: ../x", NAME_RULE + ', got "../x"'),
    (1, "name: lr_grid", "name: /etc/x", NAME_RULE + ', got "/etc/x"'),
    (1, "name: lr_grid", "name: .hidden", NAME_RULE + ', got ".hidden"'),
    (1, "name: lr_grid", "name: lr grid", NAME_RULE + ', got "lr grid"'),
    (1, "name: lr_grid", 'name: "x\\n"', NAME_RULE + ', got "x\\n"'),
    (1, "name: lr_grid", f"name: {'x' * 101}", NAME_RULE + f', got "{"x" * 56}...'),
    # The database of MLflow, and what SQLite puts beside it.
    *(
        (
            1,
            "name: lr_grid",
            f"name: {name}",
            "`name`: must not start with mlflow.db, which is MLflow's and lies beside it, "
            f"got '{name}'",
        )
        for name in ("mlflow.db", "mlflow.db-wal")
    ),
    # Too many of them.
    (
        29,
        "[0.75, 0.92, 0.96, 0.972, 0.98]",
        str([i / 2000 for i in range(1, 1002)]),
        "`eval.at_sparsity` must be at most 1000 long, "
        "got [0.0005, 0.001, 0.0015, 0.002, 0.0025, 0.003, 0.0035, 0.0...",
    ),
    (
        20,
        "rounds: 11",
        f"one_shot: {[i / 2000 for i in range(1, 1002)]}",
        "`prune.one_shot` must be at most 1000 long, "
        "got [0.0005, 0.001, 0.0015, 0.002, 0.0025, 0.003, 0.0035, 0.0...",
    ),
    # Repeated values.
    (6, "seeds: [0, 1, 2]", "seeds: [0, 1, 0]", "`seeds`: each may be given once, got 0 again"),
    (6, "seeds: [0, 1, 2]", "seeds: [12, 0o14]", "`seeds`: each may be given once, got 12 again"),
    (
        31,
        "preserve_lpr]",
        "global_random]",
        "`baselines`: each may be given once, got global_random again",
    ),
    (
        24,
        "[0.02, 0.1, 0.5]",
        "[0.1, 1e-1]",
        "`find.parameters.lr.values`: each may be given once, got 0.1 again",
    ),
    (
        24,
        "[0.02, 0.1, 0.5]",
        "[1, 2, 1.0]",
        "`find.parameters.lr.values`: each may be given once, got 1.0 again",
    ),
    (
        24,
        GRID,
        "milestones: {values: [[8ep], [08ep]]}",
        "`find.parameters.milestones.values`: each may be given once, got [8ep] again",
    ),
    # Keys and points that do not go together.
    (
        17,
        "rounds: 11",
        "rounds: 11\n  final_sparsity: 0.98",
        "`prune`: needs one of `rounds`, `final_sparsity`, `one_shot` and `pattern`, got rounds "
        "and final_sparsity (null unsets one)",
    ),
    (
        17,
        "rounds: 11",
        "",
        "`prune`: needs one of `rounds`, `final_sparsity`, `one_shot` and `pattern`, got none",
    ),
    (
        23,
        GRID,
        "duration: {values: [16ep, 12ep]}",
        "`find.parameters`: at duration=12ep, "
        "`milestones` must lie before the end of `duration` (12ep), got 13ep",
    ),
    (
        23,
        GRID,
        "milestones: {values: [[8ep], [13ep, 8ep]]}",
        "`find.parameters`: at milestones=[13ep, 8ep], `milestones` must rise, got 8ep after 13ep",
    ),
    (
        23,
        GRID,
        f"lr: {{values: {list(range(1, 401))}}}\n    batch_size: {{values: {list(range(1, 301))}}}",
        "`find.parameters`: must be at most 100,000 points, got 120,000",
    ),
    (
        6,
        "seeds: [0, 1, 2]",
        f"seeds: {list(range(20_000))}",
        # 3 x 3 points x 20,000 seeds x 6 rounds (dense too) x 3 kinds; 3 x 20,000 chains of 12.
        "`seeds`: with `find` and `eval` asks for 3,960,000 trainings; at most 1,000,000",
    ),
    (
        27,
        EVAL,
        EVAL.replace(GRID, "warmup: {values: [1ep, 17ep]}"),
        "`eval.parameters`: at warmup=17ep, `warmup` must end by `duration` (16ep), got 17ep",
    ),
    (
        23,
        GRID,
        f"{GRID}\n    warmup: {{values: [1ep, 17ep]}}",
        "`find.parameters`: at lr=0.02, warmup=17ep, "
        "`warmup` must end by `duration` (16ep), got 17ep",
    ),
    *(
        (
            2,
            "name: lr_grid",
            f"name: lr_grid\ncheckpoint_every: '{every}'",
            f"`checkpoint_every`: must be minutes or epochs, such as 10min or 5ep, got {every!r}",
        )
        for every in ("10", "0min", "5it", "1h")
    ),
    (
        18,
        "strategy: global_magnitude",
        "strategy: filter_l1",
        "`prune.strategy`: prunes once: needs `one_shot`, the shares of the filters to remove",
    ),
    (
        20,
        "rounds: 11",
        "one_shot: [0.5, 0.9, 0.8]",
        "`prune.one_shot`: must rise, got [0.5, 0.9, 0.8]",
    ),
    (
        21,
        "rounds: 11",
        "rounds: 11\n  layer_fractions: {fc: 0.1}",
        "`prune.layer_fractions`: goes with `strategy: layerwise_magnitude` or filter_l1, or a "
        "score and `scope: layerwise`, not with global_magnitude",
    ),
    (
        22,
        "strategy: global_magnitude",
        "strategy: layerwise_magnitude\n  skip: [fc]\n  layer_fractions:\n    conv: 0\n    fc: 0.1",
        "`prune.layer_fractions.fc`: is in `skip`, so it loses nothing",
    ),
    (
        20,
        "rounds: 11",
        "shrink: false\n  rounds: 11",
        "`prune.shrink`: goes with `strategy: filter_l1`, not with global_magnitude",
    ),
    (
        31,
        "baselines:",
        "rewind: {to: 16ep}\nbaselines:",
        "`rewind.to`: must lie before the end of every training, such as 16ep, got 16ep",
    ),
    (
        27,
        GRID,
        f"{GRID}\n  lpr_from:\n    - {{lr: 0.1}}\n    - {{lr: 0.2}}",
        "`find.lpr_from.1`: must be a point of `find`: lr=0.02; lr=0.1; lr=0.5",
    ),
    (
        25,
        GRID,
        f"{GRID}\n  lpr_from: [{{lr: 0.1}}, {{lr: 1e-1}}]",
        "`find.lpr_from`: each may be given once, got lr=0.1 again",
    ),
]


@pytest.mark.parametrize(
    ("line", "old", "new", "message"),
    MISTAKES,
    ids=[repr(new)[:50] for _, _, new, _ in MISTAKES],
)
def test_each_mistake_is_told_with_its_line_and_what_to_write(line, old, new, message):
    assert problems(edited((old, new))) == [f"sweep.yaml:{line}: {message}"]


def test_what_goes_on_from_trained_weights_has_none_for_random_masks():
    text = edited(
        ("baselines: [", "rewind: {method: fine_tuning}\nbaselines: [reinit, "),
        ("at_sparsity:", "rewind_from: eval\n  at_sparsity:"),
    )
    instead = "has no trained weights to go on from; use `rewind.method: weights`"
    assert problems(text) == [
        "sweep.yaml:29: `eval.rewind_from`: needs `rewind.method: weights`: no weights are rewound",
        f"sweep.yaml:33: `baselines.1`: global_random {instead}",
        f"sweep.yaml:33: `baselines.2`: preserve_lpr {instead}",
    ]


def test_each_stage_is_told_of_its_own_rewinding_and_recipe():
    text = edited(
        (
            "find:                             # line 22\n",
            "find:\n  rewind: {to: 16ep}\n  train: {lr: 0.3, duration: 4ep, milestones: [5ep]}\n",
        ),
        ("at_sparsity:", "rewind: {method: learning_rate}\n  at_sparsity:"),
    )
    instead = "has no trained weights to go on from; use `eval.rewind.method: weights`"
    assert problems(text) == [
        "sweep.yaml:24: `find.train.lr`: is varied by `parameters`; give it in one of them",
    ]
    text = text.replace("lr: 0.3, ", "")
    assert problems(text) == [
        "sweep.yaml:24: `find.train`: with it, `milestones` must lie before the end of `duration` "
        "(4ep), got 5ep",
    ]
    assert problems(text.replace(", milestones: [5ep]", ", milestones: [3ep]")) == [
        "sweep.yaml:23: `find.rewind.to`: must lie before the end of every training, such as 4ep, "
        "got 16ep",
        f"sweep.yaml:34: `baselines.0`: global_random {instead}",
        f"sweep.yaml:34: `baselines.1`: preserve_lpr {instead}",
    ]


def test_two_spellings_of_one_duration_are_refused():
    duration = "find.parameters.duration={values: [16ep, 240it]}"
    assert problems(TEXT, duration, "train.milestones=[]") == [
        "sweep.yaml:8: `train`: some iterations are whole epochs of digits: give both in epochs",
    ]
    load(TEXT, duration.replace("240", "239"), "train.milestones=[]")


def test_what_does_not_go_with_whole_filters():
    assert problems(
        TEXT, "prune={strategy: filter_l1, one_shot: [0.5]}", "find.lpr_from=[{lr: 0.5}]"
    ) == [
        "sweep.yaml:31: `baselines.1`: of whole filters use global_random, which preserves the LPR "
        "too",
        "command line (find.lpr_from=[{lr: 0.5}]): `find.lpr_from`: goes with "
        "`prune.strategy: global_magnitude`, not with filter_l1",
    ]


def test_a_target_that_needs_too_many_rounds():
    for fraction in ("0.001", "1e-300", "1e-320"):
        text = edited(("fraction: 0.3", f"fraction: {fraction}"), ("rounds: 11", ""))
        assert problems(text, "prune.final_sparsity=0.98") == [
            "command line (prune.final_sparsity=0.98): `prune.final_sparsity`: "
            f"takes more than 1000 rounds at `fraction` {float(fraction):g}"
        ]


def test_chains_count_where_few_of_their_tickets_are_evaluated():
    lrs = ",".join(str(i) for i in range(1, 401))
    assert problems(
        TEXT,
        "prune={fraction: 1e-3, rounds: 1000}",
        f"find.parameters.lr.values=[{lrs}]",
        "eval={at_sparsity: [0.9]}",
        "baselines=[]",
    ) == [
        # 400 chains of 1,001 rounds and 400 evaluations of 2, with 3 seeds.
        "sweep.yaml:6: `seeds`: with `find` and `eval` asks for 1,203,600 trainings; "
        "at most 1,000,000"
    ]


def test_fewer_trainings_have_many_milestones_and_layers():
    milestones = ", ".join(f"{i}it" for i in range(1, 1901))
    layers = ", ".join(f"layer{i}" for i in range(100))
    overrides = [
        f"train={{lr: 1, batch_size: 1, duration: 4000it, milestones: [{milestones}]}}",
        f"prune={{skip: [{layers}], rounds: 11}}",
        "eval={}",
        "baselines=[]",
    ]
    # 3 chains of 12 and 3 evaluations of 12 tickets.
    assert problems(TEXT, *overrides, f"seeds={list(range(70))}") == [
        f"command line (seeds={str(list(range(70)))[:191]}...): `seeds`: with `find` and `eval` "
        "asks for 5,040 trainings; at most 5,000 with 2,000 milestones and layers"
    ]
    load(TEXT, *overrides, f"seeds={list(range(69))}")


def test_the_sparsity_of_a_round_is_worked_out_once_for_a_long_list(monkeypatch):
    rounds = []
    sparsity = Prune.sparsity
    monkeypatch.setattr(Prune, "sparsity", lambda self, r: rounds.append(r) or sparsity(self, r))
    shares = [i / 1001 for i in range(1, 1001)]
    sweep = load(TEXT, "prune={fraction: 0.005, rounds: 1000}", f"eval.at_sparsity={shares}")
    assert len(sweep.eval_rounds) > 500
    assert sorted(rounds) == list(range(1001))


def test_of_many_points_some_are_named():
    lrs = ", ".join(map(str, range(1, 101)))
    assert problems(
        TEXT, f"find.parameters.lr.values=[{lrs}]", "find.lpr_from=[{lr: 0.5}]", "seeds=[0]"
    ) == [
        "command line (find.lpr_from=[{lr: 0.5}]): `find.lpr_from.0`: must be a point of "
        "`find`: lr=1.0; lr=2.0; lr=3.0; lr=4.0; lr=5.0; lr=6.0; lr=7.0; lr=8.0; "
        "lr=9.0; lr=10.0; ..."
    ]


def test_several_mistakes_are_told_at_once_in_the_order_of_the_file():
    text = edited(
        ("baselines:", "select_on: all\nbaselines:"),
        ("rounds: 11", "rounds: many"),
        ("lr: 0.1", "lr: fast"),
        ("momentum: 0.9", "momentm: 0.9"),
        ("duration: 16ep", "duration: 16"),
        ("seeds: [0, 1, 2]", "seeds: [0, 1, x, y]"),
    )
    assert problems(text, "model=vgg", "resources_per_trial.cpu=0") == [
        'sweep.yaml:6: `seeds.2` must be an integer, got "x"',
        'sweep.yaml:6: `seeds.3` must be an integer, got "y"',
        'sweep.yaml:9: `train.lr` must be a number, got "fast"',
        "sweep.yaml:12: unknown key `train.momentm`; did you mean `momentum`?",
        f"sweep.yaml:13: `train.duration`: {STEPS_RULE}, got 16",
        'sweep.yaml:20: `prune.rounds` must be an integer, got "many"',
        'sweep.yaml:31: `select_on` must be one of validation, test, got "all"',
        f"command line (model=vgg): {MODEL_RULE}, got 'vgg'; did you mean vgg16?",
        "command line (resources_per_trial.cpu=0): "
        "`resources_per_trial.cpu` must be greater than 0, got 0",
    ]


def test_everything_that_is_required_is_told_at_once():
    assert problems("{}") == [
        "sweep.yaml:1: `name` is required",
        "sweep.yaml:1: `model` is required",
        "sweep.yaml:1: `dataset` is required",
        "sweep.yaml:1: `seeds` is required",
        "sweep.yaml:1: `train` is required",
        "sweep.yaml:1: `prune` is required",
    ]


def test_all_of_very_many_mistakes_are_told():
    found = problems(edited(("[0, 1, 2]", f"[{', '.join(['x'] * 5000)}]")))
    assert len(found) == 5000
    assert found[-1] == 'sweep.yaml:6: `seeds.4999` must be an integer, got "x"'


def test_each_of_many_mistakes_on_the_command_line_is_short():
    override = f"seeds=[{'x,' * 5000}]"
    found = problems(TEXT, override)
    assert len(found) == 5000
    assert found[-1] == (
        f'command line ({override[:197]}...): `seeds.4999` must be an integer, got "x"'
    )


def test_a_mistake_in_an_alias_is_told_at_its_anchor():
    text = edited(
        ("parameters:", "parameters: &space"),
        ("0.5]}", "-1]}"),
        (f"parameters:\n    {GRID}", "parameters: *space"),
    )
    assert problems(text) == [
        "sweep.yaml:24: `find.parameters.lr.values.2` must be greater than 0, got -1",
        "sweep.yaml:24: `eval.parameters.lr.values.2` must be greater than 0, got -1",
    ]


BAD_OVERRIDES = [
    ("train.lrr=0.2", ["unknown key `train.lrr`; did you mean `lr`?"]),
    ("train.learning_rate=0.2", ["unknown key `train.learning_rate`; did you mean `lr`?"]),
    ("learning_rate=0.2", [f"unknown key `learning_rate`; known here: {SWEEP_KEYS}"]),
    ("a.b.c=1", [f"unknown key `a`; known here: {SWEEP_KEYS}"]),
    ("train.lr=", ["`train.lr` must be a number, got null"]),
    ("train.lr=fast", ['`train.lr` must be a number, got "fast"']),
    ("train.lr=-1", ["`train.lr` must be greater than 0, got -1"]),
    ("train.lr=.inf", ["`train.lr` must be a finite number, got Infinity"]),
    ("train.duration=3", [f"`train.duration`: {STEPS_RULE}, got 3"]),
    (
        "train.milestones=[8ep,20ep]",
        ["`train.milestones.1`: must lie before the end of `duration` (16ep), got 20ep"],
    ),
    ("train=3", [f"`train` must be a mapping {RECIPE_SHAPE}, got 3"]),
    ("train={lr: 1}", ["`train.batch_size` is required", "`train.duration` is required"]),
    ("seeds=3", ["`seeds` must be a list, got 3"]),
    ("seeds=[1, 1]", ["`seeds`: each may be given once, got 1 again"]),
    (
        "model=small-resnet",
        [f"{MODEL_RULE}, got 'small-resnet'; did you mean small_resnet?"],
    ),
    ("find.parameters.lr.values=[]", ["`find.parameters.lr.values` must not be empty, got []"]),
    ("train", ["expected key=value or key.below=value"]),
    ("name.x=1", ["`name` is not a mapping"]),
    (
        "train.lr=]",
        [
            "not valid YAML: expected the node content, but found ']', "
            "while parsing a block node that starts at line 1"
        ],
    ),
]


@pytest.mark.parametrize(("override", "expected"), BAD_OVERRIDES, ids=str)
def test_a_mistake_in_an_override_is_told_on_the_command_line(override, expected):
    assert problems(TEXT, override) == [f"command line ({override}): {text}" for text in expected]


def test_an_override_that_does_not_go_with_the_file():
    assert problems(TEXT, "prune.final_sparsity=0.9") == [
        "sweep.yaml:17: `prune`: needs one of `rounds`, `final_sparsity`, `one_shot` and "
        "`pattern`, got rounds and final_sparsity (null unsets one)"
    ]
    assert load(TEXT, "prune.final_sparsity=0.9", "prune.rounds=null").prune.num_rounds == 7


def test_an_override_is_read_like_the_file():
    sweep = load(TEXT, "train.lr=1e-4", "seeds=[7]", "find.parameters.lr.values=[0.3]")
    assert sweep.train.lr == 0.0001
    assert sweep.seeds == (7,)
    assert [recipe.lr for recipe in sweep.find_recipes] == [0.3]
    assert [recipe.lr for recipe in sweep.eval_recipes] == [0.02, 0.1, 0.5]


@pytest.mark.parametrize("path", sorted(SWEEPS.glob("*.yaml")), ids=lambda path: path.name)
def test_every_shipped_sweep_loads(path):
    load_sweep(path)


def test_loading_a_sweep_needs_no_torch_no_ray_no_numpy_and_no_network():
    program = """
import sys
events = []
sys.addaudithook(lambda event, args: events.append(event))
import tune_app.sweep.load
heavy = {"torch", "ray", "mlflow", "matplotlib", "numpy"}
print(sorted(heavy & set(sys.modules)), [e for e in events if e.startswith("socket.")])
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "[] []\n", "")


def test_tf32_is_for_trials_with_a_gpu():
    assert problems(TEXT, "train.precision=tf32") == [
        "command line (train.precision=tf32): `train.precision`: tf32 is a precision of GPUs, and "
        "trials of `find` have none: write fp32, or give them one by "
        "`resources_per_trial: {gpu: 1}`"
    ]
    load(TEXT, "train.precision=tf32", "resources_per_trial.gpu=0.5")


def test_a_search_has_nothing_to_pack():
    search = (
        "find.method=random",
        "search={at: 0.9, num_samples: 2, report_seeds: [9]}",
        "resources_per_trial.pack=4",
    )
    assert any(
        "does not go with a search, which chooses" in text for text in problems(TEXT, *search)
    )
