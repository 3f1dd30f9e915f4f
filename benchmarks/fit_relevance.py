"""Fits `knowledge/relevance.json` on ideas labelled by hand, and prints how well it does on papers left out.

python benchmarks/fit_relevance.py IDEAS_UNTAGGED.json

`relevance_labels.json` holds positions in that file: ideas on the topic, off it, and those left undecided, which are
not used. `drawn` are those of a random sample; the others were chosen near the decision of an earlier fit, and the
figures are for the former. The threshold is the score above which 9 % of the off-topic ideas lie.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from report import print_table
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

from fairnad.knowledge.build.relevance import groups, other_subject, stems

HERE = Path(__file__).resolve().parent
GROUP_SCALE = 0.3  # the groups are few and would else be hardly regularised
KEPT_OFF_TOPIC = 0.0915  # both shares stay above 90 and 85 % by about as much as 200 ideas can tell


def main(ideas_path: Path) -> None:
    ideas = json.loads(ideas_path.read_text())
    labels = json.loads((HERE / "relevance_labels.json").read_text())
    chosen = sorted(labels["on"] + labels["off"])
    texts, papers = [ideas[index]["idea"] for index in chosen], [ideas[index]["paper"] for index in chosen]
    is_on = np.isin(chosen, labels["on"])
    words = TfidfVectorizer(tokenizer=stems, token_pattern=None, lowercase=False, min_df=2, sublinear_tf=True)
    counts = DictVectorizer()
    features = hstack([words.fit_transform(texts), GROUP_SCALE * counts.fit_transform(map(groups, texts))]).tocsr()
    ruled_out = np.array([other_subject(text) is not None for text in texts])
    scores = left_out(features, is_on, papers)
    drawn = np.isin(chosen, labels["drawn"])
    threshold = float(np.quantile(scores[drawn & ~is_on], 1 - KEPT_OFF_TOPIC))
    kept = scores > threshold
    model = fit(features, is_on)
    write(model, words, counts, threshold, len(chosen))
    rows = [
        ("labelled ideas", f"{len(chosen)}, {is_on.sum()} on the topic"),
        ("drawn at random", f"{drawn.sum()}, {(drawn & is_on).sum()} on the topic"),
        ("of these, on the topic and kept", f"{kept[drawn & is_on].mean():.1%}"),
        ("of these, off the topic and discarded", f"{1 - kept[drawn & ~is_on].mean():.1%}"),
        ("discarded by the rule alone, off the topic", f"{ruled_out[drawn & ~is_on].mean():.1%}"),
        ("discarded by the rule alone, on the topic", f"{ruled_out[drawn & is_on].mean():.1%}"),
    ]
    print_table("Fit of the relevance model, 8 folds by paper", ("what", "measured"), rows)


def fit(features: csr_matrix, is_on: NDArray[np.bool_]) -> LogisticRegression:
    return LogisticRegression(C=3, class_weight="balanced", max_iter=3000).fit(features, is_on)


def left_out(features: csr_matrix, is_on: NDArray[np.bool_], papers: list[int]) -> NDArray[np.float64]:
    """Return the score of each idea by a model that has seen no idea of its paper."""
    scores = np.zeros(len(papers))
    for train, test in StratifiedGroupKFold(8, shuffle=True, random_state=0).split(features, is_on, papers):
        scores[test] = fit(features[train], is_on[train]).decision_function(features[test])
    return scores


def write(
    model: LogisticRegression, words: TfidfVectorizer, counts: DictVectorizer, threshold: float, num_labels: int
) -> None:
    weights, names = model.coef_[0], words.get_feature_names_out()
    terms = {
        name: [round(float(idf), 3), round(float(weight), 3)]
        for name, idf, weight in zip(names, words.idf_, weights[: len(names)], strict=True)
    }
    by_group = zip(counts.get_feature_names_out(), weights[len(names) :], strict=True)
    file = {
        "source": f"benchmarks/fit_relevance.py on {num_labels} ideas labelled by hand",
        "bias": round(float(model.intercept_[0]) - threshold, 3),
        "groups": {name: round(GROUP_SCALE * float(weight), 3) for name, weight in by_group},
        "terms": terms,
    }
    path = HERE.parent / "knowledge" / "relevance.json"
    path.write_text(json.dumps(file, separators=(",", ":")).replace('],"', '],\n"') + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
