import pytest
from synthetic_run import SWEEP

from tune_app.results.method import method
from tune_app.sweep.load import load_sweep

PRUNE = "{fraction: 0.5, rounds: 4}"
ALL = ("global_random", "preserve_lpr", "reinit")


@pytest.fixture
def method_of(tmp_path):
    def load(prune=PRUNE, more="", baselines=()):
        text = SWEEP.replace(PRUNE, prune).replace("[global_random, preserve_lpr]", "[]")
        (tmp_path / "sweep.yaml").write_text(f"{text}{more}\n")
        return method(load_sweep(tmp_path / "sweep.yaml"), baselines)

    return load


def test_what_goes_as_usual_is_not_mentioned(method_of):
    assert method_of() == []
    assert method_of(baselines=("global_random", "preserve_lpr")) == []


@pytest.mark.parametrize(
    ("prune", "expected"),
    [
        ("{one_shot: [0.5]}", ["Pruned one-shot, by magnitude over all layers together."]),
        (
            "{strategy: filter_l1, one_shot: [0.5]}",
            ["Pruned one-shot, whole filters by L1 norm, layer by layer."],
        ),
        (
            "{strategy: layerwise_magnitude, layer_fractions: {fc: 0.1, conv: 0.25}, rounds: 2}",
            [
                "Pruned iteratively, by magnitude, layer by layer.",
                "Pruned at a fraction of their own: fc 0.1, conv 0.25.",
            ],
        ),
        ("{rounds: 2, skip: [conv, fc]}", ["Never pruned and not counted: conv, fc."]),
        ("{rounds: 2, skip: [a, b, c, d]}", ["Never pruned and not counted: 4 layers."]),
    ],
)
def test_how_it_is_pruned(method_of, prune, expected):
    assert method_of(prune) == expected


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("rewind: {to: 1ep}", ["Rewound to 1ep, to the weights of H_find."]),
        (
            "rewind: {method: learning_rate, to: 1ep}",
            ["LR rewinding to 1ep: the weights go on as H_find trained them."],
        ),
        (
            "rewind: {method: fine_tuning, to: 1ep}",
            ["Fine-tuned at the last LR of the schedule, for as long as from 1ep to its end."],
        ),
        ("rewind: {to: 0it}", []),
    ],
)
def test_how_it_is_rewound(method_of, more, expected):
    assert method_of(more=more) == expected


def test_how_each_stage_is_rewound(tmp_path):
    def sentences(find: str, more: str = "") -> list[str]:
        text = SWEEP.replace("find:\n", f"find:\n  rewind: {find}\n") + more
        (tmp_path / "sweep.yaml").write_text(text)
        return method(load_sweep(tmp_path / "sweep.yaml"))

    late = "Rewound to 1ep, to the weights of H_find."
    assert sentences("{to: 1ep}", "rewind: {to: 1ep}\n") == [late]
    assert sentences("{method: learning_rate}") == [
        "While finding: LR rewinding to 0ep: the weights go on as H_find trained them.",
        "To evaluate: Rewound to initialization.",
    ]


def test_whose_weights_it_is_rewound_to(tmp_path):
    text = SWEEP.replace("eval:\n", "eval:\n  rewind_from: eval\n") + "rewind: {to: 1ep}\n"
    (tmp_path / "sweep.yaml").write_text(text)
    sentences = method(load_sweep(tmp_path / "sweep.yaml"))
    assert sentences == ["Rewound to 1ep, to the weights of H_eval."]


def test_what_baselines_are_trained_from(method_of):
    new = "Random reinit is the ticket's mask on new weights, trained from step 0 in full."
    assert method_of(baselines=ALL) == [new]
    assert method_of(more="rewind: {to: 1ep}", baselines=ALL)[1:] == [
        "Preserve LPR starts as its ticket does.",
        "Global random, which has no H_find, starts from the weights at H_eval.",
        new,
    ]
    assert method_of(more="rewind: {method: learning_rate}", baselines=["reinit"])[1:] == [new]
    assert method_of("{strategy: filter_l1, one_shot: [0.5]}", baselines=["global_random"])[1:] == [
        "Global random removes random filters, the same share of each layer."
    ]
