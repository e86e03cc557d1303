"""Read the sentences around a comparison, and hold every number and word in them to the JSON and to the runs."""

import re
from decimal import Decimal
from itertools import product
from statistics import fmean, stdev

import numpy as np
import scipy.optimize
import scipy.special
import scipy.stats

from actbench.schema.metrics import METRICS
from actbench.schema.record import OUTCOMES

NUMBER = r"[+−]?[\d,]+(?:\.\d+)?(?:e[+-]\d+)?"
INTERVAL = rf" \[(?P<low>{NUMBER}), (?P<high>{NUMBER})\](?P<cut>, cut at the end of the scale)?"
OF = r"(?: in (?P<metric>[a-z]+(?:\.[a-z_]+)?))?"
LOST = r"(?P<lost>(?:; .+: \d+ of \d+ runs [a-z ]+)*)"
FOUND = re.compile(
    rf"(?P<first>.+) (?P<verb>beats|exceeds) (?P<second>.+) by (?P<size>{NUMBER})(?: (?P<unit>(?!in )[a-z]+))?"
    rf"(?:{INTERVAL})?{OF}"
    rf" \((?P<n>\d+) paired seeds, adjusted p (?P<p>= [\d.]+|< \.001), (?P<word>better|higher) in (?P<wins>\d+) of "
    rf"(?P<of>\d+){LOST}\)"
    r"(?P<across>, though its interval includes 0: its p is from sign flips, the interval is Student's)?"
    rf"(?:, a difference within ±(?P<delta>{NUMBER}) [a-z]+)?"
)
IDENTICAL = re.compile(
    rf"(?P<first>.+) and (?P<second>.+) are identical in each of (?P<n>\d+) paired seeds{OF}(?: \((?P<lost>.+)\))?"
)
SAME = re.compile(
    rf"(?P<first>.+) and (?P<second>.+) are practically the same{OF}: the difference(?:{INTERVAL})? lies within "
    rf"±(?P<delta>{NUMBER}) [a-z]+ \((?P<n>\d+) paired seeds{LOST}\)"
)
OPEN = re.compile(
    rf"(?P<first>.+) and (?P<second>.+) are not distinguishable{OF} \((?P<n>\d+) paired seeds{LOST}\)(?P<rest>.*)"
)
STEADY = re.compile(
    rf"(?P<first>.+) and (?P<second>.+) differ by (?P<size>{NUMBER})(?: (?P<unit>(?!in )[a-z]+))?{OF} in each of "
    rf"(?P<n>\d+) paired seeds{LOST}, without the spread that a t test needs"
    r"(?P<flips>; (?:no number of seeds|(?P<enough>\d+) seeds are the fewest that) can show it by sign flips)?"
)
UNTOLD = re.compile(
    r"no verdict on (?:(?P<first>.+) and (?P<second>.+)|(?P<count>\d+) differences) in (?P<metric>\S+): "
    r"(?P<n>\d+) paired seeds can show none \(smallest possible adjusted p (?P<p>= [\d.]+|< \.001)\); "
    r"(?:no number of seeds can|(?P<enough>\d+) seeds are the fewest that can)"
)
NEEDED = re.compile(rf"; telling (?P<size>{NUMBER})(?: [a-z]+)? apart needs about (?P<seeds>[\d,]+) seeds")
NO_VERDICT = re.compile(r"no verdict: fewer than 3 paired seeds(?: \((?P<lost>.+)\))?")
INTERACTION = re.compile(
    rf"the effect of (?P<one>\S+) depends on (?P<other>\S+) \(p (?P<p>= [\d.]+|< \.001), (?P<n>\d+) seeds\): between "
    rf"\S+=(?P<from_other>\S+) and (?P<at_other>\S+), (?P<at_one>.+) − (?P<from_one>.+) changes by (?P<size>{NUMBER})"
    rf"(?: (?P<unit>(?!in )[a-z]+))?(?:{INTERVAL})?{OF}"
)


FURTHER = re.compile(
    rf"a further run of (?P<row>.+) will have its (?P<metric>\S+) in \[(?P<low>{NUMBER}), (?P<high>{NUMBER})\](?: %)?"
    rf"(?P<cut>, cut at the end of the scale)?, with (?P<level>[\d.]+) % certainty \((?P<n>\d+) seeds{LOST}\)"
)
SAME_EACH_TIME = re.compile(
    rf"no prediction of (?P<metric>\S+) for (?P<row>.+): it is the same in each of (?P<n>\d+) seeds{LOST}"
)
NO_PREDICTION = re.compile(
    r"no prediction in (?P<metric>\S+): a share that is mostly 0 has no such interval; its range shows what a further "
    r"run may have"
)
NEW_SEED = re.compile(
    rf"(?P<row>.+) (?P<verb>beats|exceeds) (?P<base>.+) on a new seed{OF} with a chance of "
    rf"(?P<chance_share>\d+) % \[(?P<chance_low>\d+), (?P<chance_high>\d+)\] \((?P<n>\d+) paired seeds"
    rf"(?:, (?P<ties>\d+) of them equal)?{LOST}\)"
    rf"(?:; beyond ±(?P<delta>{NUMBER}) points: better (?P<better_share>\d+) % \[(?P<better_low>\d+), "
    r"(?P<better_high>\d+)\], worse (?P<worse_share>\d+) % \[(?P<worse_low>\d+), (?P<worse_high>\d+)\], the same "
    r"within it (?P<same_share>\d+) % \[(?P<same_low>\d+), (?P<same_high>\d+)\])?"
)


class Runs:
    """The runs behind a comparison, by the factors of its rows: the oracle that shares no code with the product."""

    def __init__(self, records, comparison):
        self.factors = comparison["factors"]
        self.baseline = comparison["baseline"] or {}
        self.members = {}
        for one in records:
            settings = {"activation": one.spec.activation.label, "bias_init": one.spec.bias_init.to_json()}
            key = tuple(settings[name] for name in self.factors)
            self.members.setdefault(key, []).append((settings["bias_init"], one))
        self.names = {self.name(dict(zip(self.factors, key, strict=True))): key for key in self.members}

    @staticmethod
    def word(value):
        return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)

    def name(self, factors):
        words = {key: self.word(value) for key, value in factors.items()}
        activation = words.pop("activation")
        rest = ", ".join(f"{key}={word}" for key, word in words.items())
        return f"{activation} ({rest})" if rest else activation

    @property
    def candidates(self):
        """Names of the rows among which the best one and an interaction are looked for."""
        return list(self.names)

    def absent(self):
        return []

    def counterpart(self, factors):
        return self.name({**factors, **self.baseline})

    def values(self, name, metric):
        """Seed -> value, averaged over what is no factor, for seeds with a value in each part."""
        parts = {}
        for bias, one in self.members.get(self.names.get(name), []):
            key = "all" if "bias_init" in self.factors else bias
            part = parts.setdefault(key, {})
            if (value := one.final.get(metric)) is not None:
                part[one.spec.seed] = value
        seeds = set.intersection(*map(set, parts.values())) if parts else set()
        return {seed: fmean(part[seed] for part in parts.values()) for seed in seeds}

    def of_activation(self, name):
        """The runs of an activation by their bias."""
        found = {}
        for own in self.members.values():
            for bias, one in own:
                if one.spec.activation.label == name:
                    found.setdefault(bias, []).append(one)
        return found

    @staticmethod
    def mean_by_seed(parts, metric):
        """Seed -> mean over the parts, for seeds with a value in each."""
        values = [
            {one.spec.seed: value_of(one, metric) for one in part if value_of(one, metric) is not None}
            for part in parts.values()
        ]
        seeds = set.intersection(*map(set, values)) if values else set()
        return {seed: fmean(part[seed] for part in values) for seed in seeds}

    def pairs(self, first, second, metric):
        """The two values of each common seed."""
        one, other = self.values(first, metric), self.values(second, metric)
        return [(one[seed], other[seed]) for seed in sorted(one.keys() & other.keys())]

    def lost(self, name, metric):
        """How many runs of a row have no value, out of how many, and how they ended."""
        own = [one for _, one in self.members[self.names[name]]]
        missing = [one for one in own if one.final.get(metric) is None]
        return len(missing), len(own), {one.outcome for one in missing}


class TwoSides(Runs):
    """The runs of new results and of their base, which are one more factor."""

    def __init__(self, new, base, comparison):
        super().__init__([], comparison)
        for side, records in (("new", new), ("base", base)):
            for one in records:
                settings = {
                    "activation": one.spec.activation.label,
                    "bias_init": one.spec.bias_init.to_json(),
                    "results": side,
                }
                key = tuple(settings[name] for name in self.factors)
                self.members.setdefault(key, []).append((settings["bias_init"], one))
        self.names = {self.name(dict(zip(self.factors, key, strict=True))): key for key in self.members}

    def name(self, factors):
        """A row without a side is one of the new results."""
        return super().name(factors if "results" in factors else {**factors, "results": "new"})

    @property
    def candidates(self):
        return [name for name, key in self.names.items() if key[-1] == "new"]

    def absent(self):
        """Names, without their side, of the rows that the base alone has."""
        new = {key[:-1] for key in self.members if key[-1] == "new"}
        return [Runs.name(self, dict(zip(self.factors, key[:-1], strict=False)))
                for key in self.members if key[-1] == "base" and key[:-1] not in new]  # fmt: skip


def scaled(metric):
    return 100.0 if METRICS[metric].unit == "fraction" else 1.0


def assert_printed(text, value, metric=None):
    """The printed number is the value, rounded to the digits that it has."""
    digits = Decimal(text.replace(",", "").replace("−", "-"))
    wanted = value * (scaled(metric) if metric else 1.0)
    half = 0.5001 * 10.0 ** digits.as_tuple().exponent
    assert abs(float(digits) - wanted) <= half + 1e-9 * abs(wanted), (text, wanted)


def assert_p(text, p):
    if text == "< .001":
        assert p < 0.001
    else:
        printed = float(text.removeprefix("= "))
        assert abs(printed - p) <= (0.00051 if p < 0.0995 else 0.0051), (text, p)


def assert_interval(match, low, high, metric, differences):
    """The printed ends are those of the JSON, cut where the scale ends, which the sentence then says."""
    if low is None or high is None:
        assert match["low"] is None
        return
    bounds = {0: (0.0, 1.0), 1: (-1.0, 1.0), 2: (-2.0, 2.0)}[differences]
    if METRICS[metric].unit != "fraction":
        bounds = (0.0, float("inf")) if differences == 0 else (float("-inf"), float("inf"))
    assert (match["cut"] is not None) == (low < bounds[0] or high > bounds[1])
    assert_printed(match["low"], max(low, bounds[0]), metric)
    assert_printed(match["high"], min(high, bounds[1]), metric)


def assert_lost(text, runs, names, metric):
    """The sentence counts the missing runs of exactly those of its rows that have any."""
    wanted = {}
    for name in dict.fromkeys(names):
        count, of, outcomes = runs.lost(name, metric)
        if count:
            wanted[name] = (count, of, outcomes)
    found = {}
    for part in filter(None, (text or "").split("; ")):
        match = re.fullmatch(r"(?P<name>.+): (?P<count>\d+) of (?P<of>\d+) runs (?P<how>.+)", part)
        found[match["name"]] = (int(match["count"]), int(match["of"]), set(match["how"].split(" or ")))
    assert found == wanted


def units(metric):
    return {"fraction": "points", "nats": "nats", "seconds": "seconds"}.get(METRICS[metric].unit)


def check_verdicts(comparison, runs, metric, options):
    """Hold each verdict to the table, and each row with three pairs to one verdict."""
    rows = {}
    for row in comparison["rows"]:
        if metric in row["vs_baseline"]:
            rows[runs.name(row["factors"])] = row
    judged = {name for name, row in rows.items() if row["vs_baseline"][metric]["n_pairs"] >= 3}
    untold = {name for name in judged if is_untold(name, runs, metric, options)}
    untold -= {name for name in untold if identical(name, rows, runs, metric)}
    untold -= {name for name in untold if is_told_otherwise(rows[name]["vs_baseline"][metric], metric, options)}
    seen, found = [], []
    for text in comparison["verdicts"]:
        if match := UNTOLD.fullmatch(text):
            check_untold(match, untold, rows, runs, metric, options)
            seen += untold
            continue
        if match := NO_VERDICT.fullmatch(text):
            assert rows
            assert not judged
            assert comparison["verdicts"] == [text]
            continue
        if match := INTERACTION.fullmatch(text):
            check_interaction(match, comparison, runs, metric, options["alpha"])
            continue
        match = next((m for kind in (FOUND, IDENTICAL, SAME, STEADY, OPEN) if (m := kind.fullmatch(text))), None)
        assert match, f"no known sentence: {text}"
        name = check_verdict(match, rows, runs, metric, options)
        seen.append(name)
        if match.re is FOUND:
            size = abs(rows[name]["vs_baseline"][metric]["difference"])
            found.append((bool(match["lost"]), match["first"] != name, -size))
        if match.re is OPEN:
            assert name not in untold
            check_open(match, rows[name]["vs_baseline"][metric], metric, options)
        if match.re is STEADY:
            assert (match["flips"] is None) == ("anytime" in options or is_by_two_stages(metric, options))
    assert sorted(seen) == sorted(judged)
    assert found == sorted(found)  # what rests on all runs first, the row's wins before its losses, large ones first


def check_ps(comparison, runs, metrics, options=()):
    """Each p is that of scipy's t test or of exact sign flips, and adjusting never makes it smaller.

    Under ``anytime`` it is one over the likelihood ratio of the differences.
    """
    for row in comparison["rows"]:
        for metric, contrast in row["vs_baseline"].items():
            name = runs.name(row["factors"])
            pairs = runs.pairs(name, runs.counterpart(row["factors"]), metric)
            differences = [a - b for a, b in pairs]
            if is_by_two_stages(metric, options):
                base = runs.counterpart(row["factors"])
                check_two_stages(contrast, differences, pilot_differences(runs, name, base, metric, options), options)
            elif "anytime" in options:
                check_anytime(contrast, differences, metric, options["alpha"])
            else:
                check_p(contrast, differences, may_flip=is_bounded(metric) or len(pairs) >= 8)
    by_t_or_flips = "anytime" not in options and not is_by_two_stages(metrics[0], options)
    for pair in comparison["all_pairs"]["pairs"] if by_t_or_flips else ():
        both = runs.pairs(runs.name(pair["left"]), runs.name(pair["right"]), metrics[0])
        check_p(pair, [a - b for a, b in both], may_flip=is_bounded(metrics[0]))


def check_p(found, differences, *, may_flip):
    if found["p"] is None:
        return
    assert found["p_adjusted"] is None or found["p_adjusted"] >= found["p"] * (1 - 1e-12)
    if len(differences) > 12:  # of so many, flips are drawn
        return
    spread = max(abs(one) for one in differences)
    candidates = [flips_p([one / spread for one in differences])] if may_flip else []
    if max(differences) - min(differences) > 1e-9 * spread:
        candidates.append(float(scipy.stats.ttest_1samp([one / spread for one in differences], 0.0).pvalue))
    assert any(abs(found["p"] - p) <= 1e-6 * p + 1e-9 for p in candidates), (found["p"], candidates)


def anytime_p(differences, mean=0.0):
    """One over the likelihood ratio of values around a mean: effects of variance 4 against none, any spread.

    Over all spreads, values have the density (vᵀ·M⁻¹·v)^(−n/2) / √det M with M = I + 4·J or M = I.
    """
    values = np.array(differences) - mean
    n = len(values)
    with_effect = np.eye(n) + 4 * np.ones((n, n))
    quotient = (values @ np.linalg.solve(with_effect, values)) / (values @ values)
    return float(min(1.0, np.sqrt(np.linalg.det(with_effect)) * quotient ** (n / 2)))


def anytime_sign_p(wins, losses):
    """One over the mean likelihood ratio of signs over Jeffreys' prior."""
    log = scipy.special.betaln(wins + 0.5, losses + 0.5) - scipy.special.betaln(0.5, 0.5)
    return min(1.0, float(np.exp(-log - (wins + losses) * np.log(2))))


def check_anytime(found, differences, metric, alpha):
    """Hold p to its likelihood ratio, and each end of the interval to the mean that is just rejected."""
    spread = max(map(abs, differences), default=0.0)
    if len(differences) < 3 or spread == 0:
        assert found["p"] is None
        return
    scaled = [one / spread for one in differences]
    if is_bounded(metric):
        wanted = anytime_sign_p(sum(one > 0 for one in scaled), sum(one < 0 for one in scaled))
        assert abs(found["p"] - wanted) <= 1e-6 * wanted
        assert found["low"] is None
    elif max(scaled) - min(scaled) > 1e-6:
        wanted = anytime_p(scaled)
        assert abs(found["p"] - wanted) <= 1e-5 * wanted
        assert (found["low"] is None) == (least_p(metric, len(scaled), anytime=True) >= alpha)
        for end in (found["low"], found["high"]) if found["low"] is not None else ():
            assert abs(anytime_p(scaled, end / spread) - alpha) <= 1e-3 * alpha


def is_by_two_stages(metric, options):
    """Whether the table is one of the two-stage rule, in this metric; ``options`` has ``two_stage`` where it is."""
    return "two_stage" in options and options["two_stage"].metric == metric


def pilot_differences(runs, name, base, metric, options):
    one, other = runs.values(name, metric), runs.values(base, metric)
    return [one[seed] - other[seed] for seed in options["two_stage"].pilot if seed in one and seed in other]


def two_stage_interval(differences, pilot, alpha):
    """Mean ± t · s₀ / √N by scipy; None where the first stage has too few pairs, or a spread of 0 that is refuted."""
    size = max(map(abs, differences), default=0.0)
    if len(differences) < 3:
        return None
    if max(differences) - min(differences) <= 1e-12 * size:
        return (fmean(differences), fmean(differences)) if len(pilot) >= 3 else None
    if len(pilot) < 3 or max(pilot) - min(pilot) <= 1e-12 * max(map(abs, pilot)):
        return None
    spread = size * stdev([one / size for one in pilot])
    half = scipy.stats.t.ppf(1 - alpha / 2, len(pilot) - 1) * spread / len(differences) ** 0.5
    return fmean(differences) - half, fmean(differences) + half


def check_two_stages(found, differences, pilot, options):
    """Hold the interval and p to the spread of the first stage."""
    wanted = two_stage_interval(differences, pilot, options["alpha"])
    assert (found["low"] is None) == (wanted is None)
    if wanted is None:
        assert found["p"] is None
        return
    size = max(map(abs, differences))
    if wanted[1] - wanted[0] > 1e-6 * size:
        half = (wanted[1] - wanted[0]) / 2
        assert abs(found["low"] - wanted[0]) <= 1e-6 * half
        assert abs(found["high"] - wanted[1]) <= 1e-6 * half
        level = scipy.stats.t.ppf(1 - options["alpha"] / 2, len(pilot) - 1)
        p = 2 * scipy.stats.t.sf(abs(fmean(differences)) / half * level, len(pilot) - 1)
        assert abs(found["p"] - p) <= 1e-5 * p + 1e-12


def least_p(metric, pairs, *, anytime):
    """The smallest p that so many pairs can have."""
    if pairs < 3:
        return 1.0
    if anytime:
        return anytime_sign_p(pairs, 0) if is_bounded(metric) else (1 + 4 * pairs) ** (-(pairs - 1) / 2)
    return smallest(pairs) if is_bounded(metric) else 0.0


def holm(ps):
    ranked, largest, found = sorted(range(len(ps)), key=lambda i: ps[i]), 0.0, [0.0] * len(ps)
    for rank, index in enumerate(ranked):
        largest = max(largest, min(1.0, ps[index] * (len(ps) - rank)))
        found[index] = largest
    return found


def family_of(runs, metric):
    """Row -> pairs, for all rows that are compared, hidden ones too."""
    names = [name for name in runs.names
             if (base := runs.counterpart(factors_of(runs, name))) in runs.names and base != name]  # fmt: skip
    return {name: len(runs.pairs(name, runs.counterpart(factors_of(runs, name)), metric)) for name in names}


def least_adjusted(runs, metric, options):
    """Row -> the smallest adjusted p that its pairs can have."""
    family, anytime = family_of(runs, metric), "anytime" in options
    least = [least_p(metric, pairs, anytime=anytime) for pairs in family.values()]
    return dict(zip(family, holm(least) if anytime else least, strict=True))


def flips_p(differences):
    """The share of all sign patterns with as extreme a sum."""
    sums = [abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
            for signs in product((1, -1), repeat=len(differences))]  # fmt: skip
    return sum(one >= sums[0] - 1e-9 for one in sums) / len(sums)


def is_bounded(metric):
    return metric.startswith("health.") and METRICS[metric].unit == "fraction"


def smallest(pairs):
    return 1.0 if pairs < 3 else max(2.0 ** (1 - pairs), 1e-4)


def fewest(alpha):
    return next((n for n in range(3, 40) if smallest(n) < alpha), None)


def fewest_of(runs, metric, options):
    """The fewest pairs with which any row can have a star."""
    if "anytime" not in options:
        return fewest(options["alpha"])
    level = options["alpha"] / len(family_of(runs, metric))
    return next((n for n in range(3, 61) if least_p(metric, n, anytime=True) < level), None)


def is_untold(name, runs, metric, options):
    """Whether no values of so many pairs could have had a star; t tests and max-T from eight pairs on always could."""
    return least_adjusted(runs, metric, options)[name] >= options["alpha"]


def is_told_otherwise(contrast, metric, options):
    """Whether a sentence says that a difference has no spread, or lies within delta."""
    if is_bounded(metric):
        return False
    if contrast["p"] is None:
        return True
    delta = options.get("delta", 0.1) / 100
    is_fraction = METRICS[metric].unit == "fraction"
    return is_fraction and contrast["low"] is not None and -delta < contrast["low"] <= contrast["high"] < delta


def identical(name, rows, runs, metric):
    base = runs.counterpart(rows[name]["factors"])
    return all(a == b for a, b in runs.pairs(name, base, metric))


def check_untold(match, untold, rows, runs, metric, options):
    """A sentence on what can't be shown counts exactly those rows, and names the fewest seeds that can."""
    assert match["metric"] == metric
    assert int(match["count"] or 1) == len(untold)
    if match["first"]:
        assert {match["first"]} == untold
        assert runs.counterpart(rows[match["first"]]["factors"]) == match["second"]
    most = max(rows[name]["vs_baseline"][metric]["n_pairs"] for name in untold)
    assert int(match["n"]) == most
    least = least_adjusted(runs, metric, options)
    assert_p(match["p"], min(least[name] for name in untold))
    enough = fewest_of(runs, metric, options)
    assert match["enough"] == (None if enough is None else str(enough))


def check_open(match, contrast, metric, options):
    """An open difference that was seen takes more seeds than it had, and as many as its test needs to show any."""
    if (is_bounded(metric) and "anytime" in options) or is_by_two_stages(metric, options):
        assert match["rest"] == ""
    if METRICS[metric].unit == "fraction" and not is_bounded(metric):
        return  # the seeds are those that tell delta apart
    assert "four times in five" not in match["rest"]
    if needed := NEEDED.fullmatch(match["rest"]):
        seeds = int(needed["seeds"].replace(",", ""))
        assert seeds > contrast["n_pairs"]
        assert not is_bounded(metric) or smallest(seeds) < options["alpha"]


def check_verdict(match, rows, runs, metric, options):
    """Return the row that a verdict is about, after holding it to the table."""
    first, second = match["first"], match["second"]
    is_row_first = first in rows and runs.counterpart(rows[first]["factors"]) == second
    name, base = (first, second) if is_row_first else (second, first)
    assert runs.counterpart(rows[name]["factors"]) == base
    contrast = rows[name]["vs_baseline"][metric]
    assert (match["metric"] or "test.accuracy") == metric
    pairs = runs.pairs(name, base, metric)
    assert int(match["n"]) == contrast["n_pairs"] == len(pairs)
    assert_lost((match["lost"] or "").removeprefix("; "), runs, (name, base), metric)
    difference = fmean(a - b for a, b in pairs)
    spread = max(abs(value) for pair in pairs for value in pair)
    assert abs(difference - contrast["difference"]) <= 1e-9 * spread
    if match.re is FOUND:
        check_found(match, contrast, runs.pairs(first, second, metric), metric, turned=first == base)
    else:
        assert not contrast["significant"]
        assert first == name
    if match.re is IDENTICAL:
        assert all(a == b for a, b in pairs)
    if match.re in (STEADY, OPEN):
        steps = [a - b for a, b in pairs]
        is_steady = max(steps) - min(steps) <= 1e-12 * spread and contrast["p"] is None
        assert (match.re is STEADY) == is_steady
    if match.re is STEADY:
        assert_printed(match["size"], abs(contrast["difference"]), metric)
        assert match["unit"] == units(metric)
        assert not is_bounded(metric)
        assert len(pairs) < int(match["enough"] or 1000)
    if match.re is SAME:
        assert_interval(match, contrast["low"], contrast["high"], metric, 1)
        delta = options.get("delta", 0.1) / 100
        assert -delta < contrast["low"] <= contrast["high"] < delta
        assert_printed(match["delta"], delta, metric)
    return name


def check_found(match, contrast, pairs, metric, *, turned):
    """Hold a sentence on a found difference to the table: everything is counted from the side named first."""
    assert contrast["significant"]
    assert_p(match["p"], contrast["p_adjusted"])
    direction = METRICS[metric].higher_is_better
    assert (match["verb"], match["word"]) == (("exceeds", "higher") if direction is None else ("beats", "better"))
    sign = -1 if direction is False else 1
    ahead = sign * fmean(a - b for a, b in pairs)
    assert ahead > 0  # the side named first is the better, or the higher one
    assert_printed(match["size"], abs(contrast["difference"]), metric)
    assert match["unit"] == units(metric)
    assert int(match["wins"]) == sum(sign * (a - b) > 0 for a, b in pairs)
    assert int(match["of"]) == len(pairs)
    low, high = contrast["low"], contrast["high"]
    # The table has row − baseline; the sentence says by how much the first is ahead, so that the distance is positive.
    assert (contrast["difference"] > 0) == (turned == (sign < 0))
    if low is not None and contrast["difference"] < 0:
        low, high = -high, -low
    assert_interval(match, low, high, metric, 1)
    includes_0 = low is not None and low <= 0
    assert (match["across"] is not None) == includes_0
    if low is not None:
        assert match["high"].startswith("+") == (low < 0)


def check_interaction(match, comparison, runs, metric, alpha):
    found = comparison["interaction"]
    assert_p(match["p"], found["p"])
    assert found["p"] < alpha
    largest = found["largest"]
    one, other = found["factors"]
    assert (match["one"], match["other"]) == (one, other)
    words = [runs.word(largest[side][factor]) for side in ("from", "at") for factor in (other, one)]
    assert [match["from_other"], match["from_one"], match["at_other"], match["at_one"]] == words
    assert int(match["n"]) == largest["n_pairs"]
    cells = {
        (a, b): runs.values(runs.name({one: largest[a][one], other: largest[b][other]}), metric)
        for a in ("at", "from")
        for b in ("at", "from")
    }
    seeds = set.intersection(*(set(runs.values(name, metric)) for name in runs.candidates))
    effect = fmean(
        cells["at", "at"][s] - cells["from", "at"][s] - cells["at", "from"][s] + cells["from", "from"][s] for s in seeds
    )
    assert len(seeds) == largest["n_pairs"]
    spread = max(abs(value) for cell in cells.values() for value in cell.values())
    assert abs(effect - largest["difference"]) <= 1e-9 * spread
    assert_printed(match["size"], largest["difference"], metric)
    assert_interval(match, largest["low"], largest["high"], metric, 2)
    assert match["unit"] == units(metric)


WARNINGS = {
    "outcome": r"(?P<count>\d+) of (?P<of>\d+) runs (?P<outcome>diverged|failed|collapsed): counted beside the means, "
    r"(?P<how>averaged in|not averaged in|averaged in only in (?P<metrics>[a-z_., ]+)) \((?P<names>.+)\)",
    "mixture": r"collapsed runs lie far from the row's other runs in (?P<metric>\S+): no interval of such a mean or "
    r"of its difference can be trusted \((?P<names>.+)\)",
    "seeds": r"rows have (?:(?P<least>\d+) to (?P<most>\d+)|different) (?P<noun>seeds|seeds with a value)"
    r"(?: \((?P<names>.+)\))?: a difference uses only those that both sides have",
    "few": r"fewer than 3 (?P<noun>seeds|seeds with a value)(?: in (?P<few>\d+) of (?P<of>\d+) rows)?: no interval and "
    r"no test(?: \((?P<lost>.+)\))?",
    "exact": r"with (?P<n>\d+) paired seeds no exact test can reach p < (?P<alpha>[\d.]+) \(smallest possible p "
    r"(?P<p>= [\d.]+|< \.001)\): a smaller p(?: in (?P<metrics>.+))? rests on normally distributed differences",
    "limit": r"nothing can be shown(?: in (?P<metrics>.+))?: (?:(?P<untested>fewer than 3 paired seeds)|with "
    r"(?P<n>\d+) paired seeds no p can be below (?P<alpha>[\d.]+) \(smallest possible adjusted p "
    r"(?P<p>= [\d.]+|< \.001)\); "
    r"(?:no number of seeds can|(?P<enough>\d+) seeds are the fewest that can))",
    "alone": r"(?P<count>\d+) of (?P<of>\d+) rows have no baseline run with the same other settings "
    r"\((?P<names>.+)\)",
    "averaged": r"averaged over (?P<factors>.+), per seed; seeds that lack a combination are left out",
    "less": r"(?P<less>\d+) of the (?P<all>\d+) seeds that `--exact` chose are not there, so intervals in "
    r"(?P<metric>\S+) are wider than was asked for",
    "uneven": r"rows are averaged over different values of (?P<factors>.+), which moves their differences "
    r"\((?P<names>.+)\)",
    "sizes": r"rows differ in size, since an activation changes the width of its layers \((?P<names>.+)\)",
    "absent": r"rows of the base that have no runs among the new results: (?P<names>.+?)(?: and (?P<more>\d+) more)?",
    "no baseline": r"no baseline: .+",
    "selected": r"(?P<count>\d+) of (?P<of>\d+) runs report the epoch with their best (?P<monitors>.+), not the last "
    r"\(training\.select: best\): epoch (?P<least>\d+)(?: to (?P<most>\d+))?; validation metrics flatter them, having "
    r"chosen it",
    "stopped": r"(?P<count>\d+) of (?P<of>\d+) runs ran out of patience \(training\.patience\) and ended after epoch "
    r"(?P<least>\d+)(?: to (?P<most>\d+))?: their seconds do not compare",
}


def check_warnings(report, comparison, runs, records, metrics, options):
    """Hold each warning to the runs behind the table, and each fact that needs one to a warning."""
    shown = {runs.name(row["factors"]) for row in comparison["rows"]}
    bases = {name for name in runs.names if is_baseline(comparison, runs, name)}
    compared = {runs.counterpart(row["factors"]) for row in comparison["rows"] if row["vs_baseline"]} | shown
    counts = {name: len(runs.values(name, metrics[0])) for name in compared}
    behind = [one for name in shown | bases for _, one in runs.members[runs.names[name]]]
    biases = {name: {bias for bias, _ in runs.members[runs.names[name]]} for name in shown | bases}
    said, limited = [], []
    for text in report["warnings"]:
        found = {kind: m for kind, pattern in WARNINGS.items() if (m := re.fullmatch(pattern, text))}
        assert found, f"no known warning: {text}"
        ((kind, match),) = found.items()
        said.append(kind if kind != "outcome" else match["outcome"])
        if kind == "outcome":
            own = [one for one in behind if one.outcome == match["outcome"]]
            assert (int(match["count"]), int(match["of"])) == (len(own), len(behind))
            own_rows = {name: [one.outcome for _, one in runs.members[runs.names[name]]] for name in shown | bases}
            check_names(
                match["names"],
                {
                    f"{name}: {outcomes.count(match['outcome'])} of {len(outcomes)}"
                    for name, outcomes in own_rows.items()
                    if match["outcome"] in outcomes
                },
            )
            valued = [name for name in metrics if any(one.final.get(name) is not None for one in own)]
            assert match["how"] == (
                "averaged in" if valued == metrics
                else f"averaged in only in {', '.join(valued)}" if valued else "not averaged in"
            )  # fmt: skip
        elif kind == "mixture":
            check_mixture(match, shown | bases, runs)
        elif kind == "seeds":
            least, most = min(counts.values()), max(counts.values())
            if match["least"]:
                assert (int(match["least"]), int(match["most"])) == (least, most)
                check_names(match["names"], {f"{name}: {n}" for name, n in counts.items() if n == least})
            assert (match["least"] is not None) == (least < most)
        elif kind == "few":
            few = [name for name, count in counts.items() if count < 3]
            assert few
            assert (int(match["few"] or len(counts)), int(match["of"] or len(counts))) == (len(few), len(counts))
            named = [part for part in (match["lost"] or "").split("; ") if part and not part.startswith("and ")]
            for part in named:
                if part in few:
                    assert not runs.lost(part, metrics[0])[0]
                    continue
                name = part.rpartition(": ")[0]
                assert name in few
                assert_lost(part, runs, [name], metrics[0])
            assert len(named) == min(3, len(few)) or len(few) == len(counts)
        elif kind == "exact":
            assert float(match["alpha"]) == options["alpha"]
            assert_p(match["p"], 2.0 ** (1 - int(match["n"])))
            assert 2.0 ** (1 - int(match["n"])) >= options["alpha"]
            by_t = [name for name in metrics if not is_bounded(name)]
            assert (match["metrics"] or ", ".join(metrics)).split(", ") == by_t
            pairs = {c["n_pairs"] for row in comparison["rows"] for m, c in row["vs_baseline"].items() if m in by_t}
            assert int(match["n"]) in pairs
        elif kind == "limit":
            assert set(said) == {"limit"}  # before all others
            limited += check_limit(match, comparison, runs, metrics, options)
        elif kind == "less":
            plan = options["two_stage"]
            there = {one.spec.seed for one in behind}
            assert (int(match["all"]), match["metric"]) == (plan.seeds, plan.metric)
            assert "where" in options or int(match["less"]) == len(set(plan.all_seeds) - there)
        elif kind == "absent":
            absent = runs.absent()
            assert match["names"] == ", ".join(absent[:3])
            assert int(match["more"] or 0) == len(absent) - len(absent[:3])
        elif kind == "uneven":
            listed = [part for part in match["names"].split("; ") if not re.fullmatch(r"and \d+ more", part)]
            for part in listed:
                name, _, count = part.rpartition(" has ")
                assert count == f"{len(biases[name])} of {len(set().union(*biases.values()))}"
                assert biases[name] != set().union(*biases.values())
        elif kind in ("selected", "stopped"):
            key = {"selected": "selected_epoch", "stopped": "epochs_trained"}[kind]
            own = [
                one for one in behind if one.final.get(key) is not None
                and (one.spec.training.select == "best" if kind == "selected"
                     else one.final[key] < one.spec.training.epochs)
            ]  # fmt: skip
            epochs = [int(one.final[key]) for one in own]
            assert (int(match["count"]), int(match["of"])) == (len(own), len(behind))
            assert (int(match["least"]), int(match["most"] or match["least"])) == (min(epochs), max(epochs))
        elif kind == "sizes":
            sizes = {
                (one.final["parameters"], tuple(layer.get("outputs", layer["units"]) for layer in one.health["layers"]))
                for one in behind if one.final.get("parameters") and one.health.get("layers")
            }  # fmt: skip
            listed = re.findall(r"([\d,]+) parameters at widths? ([\d-]+)", match["names"])
            told = {(int(count.replace(",", "")), tuple(map(int, widths.split("-")))) for count, widths in listed}
            assert told <= sizes
            assert len(told) == min(6, len(sizes)) > 1
        elif kind == "alone":
            alone = [name for name in shown - bases if runs.counterpart(factors_of(runs, name)) not in runs.names]
            assert (int(match["count"]), int(match["of"])) == (len(alone), len(shown))
            check_names(match["names"], set(alone))
    is_averaged = "averaged" in said
    assert ("uneven" in said) == (is_averaged and any(own != set().union(*biases.values()) for own in biases.values()))
    wanted = [name for name in metrics if is_limited(comparison, runs, name, options)]
    assert sorted(limited) == sorted(wanted)
    for outcome in ("diverged", "failed", "collapsed"):
        assert (outcome in said) == any(one.outcome == outcome for one in behind)
    assert "where" in options or ("absent" in said) == bool(runs.absent())
    stopped = any(
        one.final.get("epochs_trained", one.spec.training.epochs) < one.spec.training.epochs for one in behind
    )
    assert ("stopped" in said) == stopped
    assert ("few" in said) == any(count < 3 for count in counts.values())
    unpaired = any(n < max(counts.values()) for n in pairs_of(comparison, metrics[0]))
    assert ("seeds" in said) == (len(set(counts.values())) > 1 or unpaired)


def check_names(text, wanted):
    """A warning names three of the rows that it is about, and counts the others."""
    listed = text.split("; ")
    more = [match for part in listed if (match := re.fullmatch(r"and (\d+) more", part))]
    names = [part for part in listed if not re.fullmatch(r"and \d+ more", part)]
    assert set(names) <= wanted
    assert len(names) + sum(int(match[1]) for match in more) == len(wanted)


def pairs_of(comparison, metric):
    return [row["vs_baseline"][metric]["n_pairs"] for row in comparison["rows"] if metric in row["vs_baseline"]]


def least_shown(comparison, runs, metric, options):
    """The smallest adjusted p that a shown row can have; None without one that is compared."""
    least = least_adjusted(runs, metric, options)
    rows = [runs.name(row["factors"]) for row in comparison["rows"] if metric in row["vs_baseline"]]
    return min((least[name] for name in rows), default=None)


def is_limited(comparison, runs, metric, options):
    """Whether no values of the shown rows' pairs could have given one of them a star."""
    least = least_shown(comparison, runs, metric, options)
    return least is not None and least >= options["alpha"]


def check_limit(match, comparison, runs, metrics, options):
    """Return the metrics that a limit is about, after holding it to their pairs."""
    found = metrics if match["metrics"] is None else match["metrics"].replace(" and ", ", ").split(", ")
    for metric in found:
        most = max(pairs_of(comparison, metric))
        if match["untested"]:
            assert most < 3
            continue
        assert (int(match["n"]), float(match["alpha"])) == (most, options["alpha"])
        assert_p(match["p"], least_shown(comparison, runs, metric, options))
        enough = fewest_of(runs, metric, options)
        assert match["enough"] == (None if enough is None else str(enough))
    return found


def factors_of(runs, name):
    return dict(zip(runs.factors, runs.names[name], strict=True))


def is_baseline(comparison, runs, name):
    return comparison["baseline"] is not None and runs.baseline.items() <= factors_of(runs, name).items()


def check_mixture(match, names, runs):
    """A warning on collapsed runs names rows of two kinds: one of the fewer is beyond what the more would predict."""
    metric = match["metric"]
    assert METRICS[metric].unit != "fraction" or not metric.startswith("health.")
    far = set()
    for name in names:
        collapsed = {one.spec.seed for _, one in runs.members[runs.names[name]] if one.outcome == "collapsed"}
        values = runs.values(name, metric)
        own = [value for seed, value in values.items() if seed in collapsed]
        others = [value for seed, value in values.items() if seed not in collapsed]
        if own and others and len(values) >= 3:
            fewer, more = (own, others) if len(own) <= len(others) else (others, own)
            t = scipy.stats.t.ppf(1 - 0.025 / len(fewer), len(more) - 1)
            reach = t * stdev(more) * (1 + 1 / len(more)) ** 0.5 + 0.02 * max(map(abs, more))
            if any(abs(value - fmean(more)) > reach for value in fewer):
                far.add(name)
    assert far
    listed = [part for part in match["names"].split("; ") if not re.fullmatch(r"and \d+ more", part)]
    assert set(listed) <= far
    assert len(listed) == min(3, len(far))


CAPTION = {
    "mean": r"mean(?: ± half of its (?P<half>[\d.]+) % (?P<half_kind>Student-t|anytime-valid) interval|"
    r" \[(?P<level>[\d.]+) % (?P<kind>Student-t|anytime-valid) interval\])? "
    r"over n seeds, (?P<order>best first|"
    r"highest first)(?P<partial>, rows with runs that diverged or have no value last|, none marked as best since "
    r"each row has runs that diverged or have no value)?",
    "seeds": r"n = (?P<n>\d+) in each row",
    "renamed": r"(?P<short>[a-z_]+): (?P<metric>[a-z]+\.[a-z_]+)",
    "cut": r"an interval that would pass the end of its metric's scale is cut there",
    "brief cut": r"an interval ends where its metric's scale does, whatever its ±",
    "ties": r"= not distinguishable from the best(?: \((?P<hidden>.+), not shown\))?",
    "delta": r"Δ = row − baseline \((?P<baseline>.+?)(?: with equal (?P<equal>.+))?\), paired by seed",
    "star": r"\* p < (?P<alpha>[\d.]+), (?P<method>.+) over all differences of a column \((?P<sizes>[\d or]+)\)"
    r"(?: by (?P<methods>.+))?",
    "star across": r"a \* beside an interval that includes 0: p is from sign flips, the interval is Student's",
    "adjusted": r"an interval that excludes 0 without a \*: it is that of one difference alone, p is adjusted for all",
    "other test": r"an interval that excludes 0 without a \*: it is Student's, p is from sign flips",
    "shares": r"health shares: mean(?P<range> \(range\))?, p by (?P<test>sign-flip|the anytime test of signs)",
    "stein": r"intervals and p of differences in (?P<metric>\S+) are Stein's: the spread of the first (?P<first>\d+) "
    r"seeds, which chose (?P<all>\d+), and t of (?P<freedom>\d+) degrees of freedom",
    "looks": r"intervals and p hold at every look at a growing study",
    "prediction": r"one more run: (?P<level>[\d.]+) % prediction interval, mean ± t · sd · √\(1 \+ 1/n\)",
    "new seed": r"on a new seed: the share of paired seeds, equal ones half, with its (?P<level>[\d.]+) % "
    r"Clopper–Pearson interval",
    "dead": r"dead: mean share(?P<range> \(range\))? of hidden units with (?P<dead>.+)",
    "outcomes": r"outcomes: Wilson interval of the share that went wrong",
    "averaged": r"averaged over (?P<factors>.+)",
    "parameters": r"(?P<count>[\d,]+) parameters each",
    "seconds": r"seconds are shared out among the runs that train together, .+",
}


def check_caption(statements, comparison, runs, metrics, options, *, is_brief=False):
    """Hold each statement below a table to the JSON, and each fact that needs one to a statement.

    A brief caption is that of a table with halves of intervals, without ranges and without the column of seeds.
    """
    found = {}
    for text in statements:
        kinds = {kind: m for kind, pattern in CAPTION.items() if (m := re.fullmatch(pattern, text))}
        assert kinds, f"no known statement: {text}"
        found |= kinds
    rows, leading = comparison["rows"], metrics[0]
    names = [runs.name(row["factors"]) for row in rows]
    check_order(found["mean"], rows, names, runs, leading)
    level = found["mean"]["half" if is_brief else "level"]
    assert (level is not None) == any(row["metrics"][name]["low"] is not None for row in rows for name in metrics)
    assert level is None or abs(float(level) - 100 * (1 - options["alpha"])) < 1e-9
    intervals = [row["metrics"][name] for row in rows for name in metrics]
    intervals += [contrast for row in rows for contrast in row["vs_baseline"].values()]
    beyond = any(one["beyond_scale"] for one in intervals)
    if "prediction" in options:
        beyond = beyond or any(is_cut(row["metrics"][name]["prediction"], name) for row in rows for name in metrics)
    assert (("brief cut" if is_brief else "cut") in found) == beyond
    kind = found["mean"]["half_kind" if is_brief else "kind"]
    assert kind is None or kind == ("anytime-valid" if "anytime" in options else "Student-t")
    assert "shares" not in found or (found["shares"]["test"] == "sign-flip") == ("anytime" not in options)
    assert ("prediction" in found) == ("prediction" in options and not all(map(is_bounded, metrics)))
    for statement in ("prediction", "new seed"):
        assert statement not in found or float(found[statement]["level"]) == float(f"{100 * (1 - options['alpha']):g}")
    counts = {len(runs.values(name, leading)) for name in names}
    assert ("seeds" in found) == (is_brief and len(counts) == 1)
    assert not is_brief or len(counts) > 1 or {int(found["seeds"]["n"])} == counts
    assert not is_brief or all(match["range"] is None for kind, match in found.items() if kind in ("shares", "dead"))
    assert ("ties" in found) == (sum(row["tied_with_best"] is True for row in rows) > 1)
    contrasts = [contrast for row in rows for contrast in row["vs_baseline"].values()]
    assert ("star" in found) == ("delta" in found) == bool(contrasts)
    assert ("looks" in found) == (bool(contrasts) and "anytime" in options)
    assert ("new seed" in found) == (bool(contrasts) and "chance" in options)
    by_two_stages = any(is_by_two_stages(metric, options) for metric in metrics)
    assert ("stein" in found) == (bool(contrasts) and by_two_stages)
    if "stein" in found:
        plan = options["two_stage"]
        numbers = (plan.metric, *map(str, (len(plan.pilot), plan.seeds, len(plan.pilot) - 1)))
        assert found["stein"].group("metric", "first", "all", "freedom") == numbers
    if contrasts:
        assert float(found["star"]["alpha"]) == options["alpha"]
        check_stars(found, contrasts, options["alpha"])
        check_methods(found["star"], runs, metrics, options)
    runs_behind = [one for name in names for _, one in runs.members[runs.names[name]]]
    probes = {one.health["probe_size"] for one in runs_behind if one.health}
    if probes:
        assert found["dead"]["dead"] == " or ".join(f"slope ≤ 0.001 on {n:,} training images" for n in sorted(probes))
    assert ("seconds" in found) == ("seconds" in metrics)
    assert ("outcomes" in found) == (not is_brief and any(one.outcome != "ok" for one in runs_behind))
    counts = {one.final["parameters"] for one in runs_behind if one.final.get("parameters") is not None}
    assert ("parameters" in found) == (len(counts) == 1)
    if len(counts) == 1:
        assert found["parameters"]["count"] == f"{counts.pop():,.0f}"


def check_order(match, rows, names, runs, metric):
    """Complete rows come first, each part by its means; only these have a best, if the metric has a direction."""
    direction = METRICS[metric].higher_is_better
    sign = 1 if direction is False else -1
    partial = {
        name: runs.lost(name, metric)[0] > 0
        or any(one.outcome == "diverged" for _, one in runs.members[runs.names[name]])
        for name in names
    }
    means = {name: row["metrics"][metric]["mean"] for name, row in zip(names, rows, strict=True)}
    keys = [(means[name] is None, partial[name], sign * (means[name] or 0.0)) for name in names]
    assert keys == sorted(keys)
    assert match["order"] == ("highest first" if direction is None else "best first")
    assert ("last" in (match["partial"] or "")) == (any(partial.values()) and not all(partial.values()))
    for name, row in zip(names, rows, strict=True):
        assert row["tied_with_best"] is None or not (partial[name] or direction is None or means[name] is None)


def check_stars(found, contrasts, alpha):
    """Each disagreement of a star and an interval is explained, and nothing else is."""
    kinds = set()
    for one in contrasts:
        if one["low"] is None or one["low"] == one["high"] or one["p_adjusted"] is None:
            continue
        includes_0 = one["low"] <= 0 <= one["high"]
        if one["significant"] and includes_0:
            kinds.add("star across")
        if not one["significant"] and not includes_0:
            kinds.add("adjusted" if one["p"] < alpha else "other test")
    assert {"star across", "adjusted", "other test"} & found.keys() == kinds


EXPECTATION = re.compile(
    r"(?P<mark>[✓✗?]) (?P<verdict>supported|contradicted|undecided): (?P<text>.+?) \("
    rf"(?:difference \[(?P<low>{NUMBER}), (?P<high>{NUMBER})\](?: (?P<unit>[a-z]+))?"
    r"(?P<cut>, cut at the end of the scale)?, )?(?:(?P<n>\d+) seeds?, )?"
    r"(?P<note>.+)\)"
)
COUNTS = re.compile(r"(?P<left>\d+) of (?P<of_left>\d+) runs against (?P<right>\d+) of (?P<of_right>\d+)")
LEFT_OUT = re.compile(r"(?P<count>\d+) of (?P<of>\d+) runs left out: (?P<how>.+)")


def check_expectations(sentences, comparison, runs, hypotheses):
    """Hold each judged hypothesis, ``(metric, left, operator, right)`` of activations, to the JSON and to the runs."""
    for text, found, (metric, left, operator, right) in zip(
        sentences, comparison["expectations"], hypotheses, strict=True
    ):
        match = EXPECTATION.fullmatch(text)
        assert match, f"no known sentence: {text}"
        assert match["verdict"] == found["verdict"]
        assert match["mark"] == {"supported": "✓", "contradicted": "✗", "undecided": "?"}[found["verdict"]]
        sides = [runs.of_activation(name) for name in (left, right)]
        shared = set(sides[0]) & set(sides[1])
        values = [runs.mean_by_seed({part: side[part] for part in shared}, metric) for side in sides]
        differences = [values[0][seed] - values[1][seed] for seed in sorted(values[0].keys() & values[1].keys())]
        if not all(sides):
            assert found["verdict"] == "undecided"
            continue
        assert int(match["n"] or 0) == found["n"] == len(differences)
        if found["interval"] is None:
            assert match["low"] is None
        else:
            assert_interval(match, *found["interval"], metric, 1)
            assert match["unit"] == units(metric)
            assert found["interval"][0] <= fmean(differences) <= found["interval"][1] or len(set(differences)) == 1
        if found["verdict"] in ("supported", "contradicted") and operator in "<>":
            is_so = fmean(differences) < 0 if operator == "<" else fmean(differences) > 0
            assert is_so == (found["verdict"] == "supported")
        if metric in OUTCOMES:
            check_counts(match["note"], [[one for part in shared for one in side[part]] for side in sides], metric)
        check_left_out(match["note"], [one for side in sides for part in shared for one in side[part]], metric)
        printed = re.search(r"(adjusted )?p (= [\d.]+|< \.001)", match["note"])
        if found["p"] is not None:
            assert_p(printed[2], found["p_adjusted"])
            assert found["p"] <= found["p_adjusted"]


def check_counts(note, sides, outcome):
    """A hypothesis on how runs end counts those of both sides that did."""
    found = COUNTS.search(note)
    assert (found is None) == (not sides[0])
    if found:
        counted = [(sum(one.outcome == outcome for one in own), len(own)) for own in sides]
        assert [(int(found["left"]), int(found["of_left"])), (int(found["right"]), int(found["of_right"]))] == counted


def value_of(record, metric):
    """Return a metric of a run, or 1 or 0 for an outcome that it has or has not."""
    return float(record.outcome == metric) if metric in OUTCOMES else record.final.get(metric)


def check_left_out(note, own, metric):
    """A hypothesis counts the runs that have no value."""
    missing = [one for one in own if value_of(one, metric) is None]
    found = [match for part in note.split(", ") if (match := LEFT_OUT.fullmatch(part))]
    assert len(found) == bool(missing)
    for match in found:
        assert (int(match["count"]), int(match["of"])) == (len(missing), len(own))
        assert set(match["how"].split(" or ")) == {one.outcome for one in missing}


SEEN = (
    rf"(?P<metric>[a-z]+(?:\.[a-z_]+)?)(?: (?P<direction>drop|rise))? (?P<mean>{NUMBER})(?: \[(?P<low>{NUMBER}), "
    rf"(?P<high>{NUMBER})\](?: (?P<unit>(?!cut)[a-z]+))?(?P<cut>, cut at the end of the scale)?)? "
    r"\((?P<n>\d+) seeds?(?P<note>, .+)?\)"
)
GATE = re.compile(
    rf"(?:no row can be judged: |not decided: )?(?P<row>.+?): (?P<before>(?:of the baseline's, )?\d+ of \d+ runs .+?; "
    rf"(?:the others: )?)?{SEEN}(?P<more>, and \d+ more)?"
)
GATE_OF_LOST = re.compile(
    r"(?:no row can be judged: |not decided: )?(?P<row>.+?): (?:of the baseline's, )?(?P<count>\d+) of (?P<of>\d+) "
    r"runs (?P<how>[a-z ]+?)(?P<where> where the baseline's did not)?(?:, and \d+ more)?"
)
NOTHING = re.compile(r"(?:no row can be judged: |not decided: )?.+: (?:.+ has no value.*|no baseline.*)")


def check_gate(gate, comparison, runs, alpha, *, anytime=False, options=()):
    """Hold the reason why a gate tripped, or could not be decided, to the runs of the row that it names."""
    for text in filter(None, (gate.tripped_reason, gate.undecided_reason)):
        if match := GATE.fullmatch(text):
            check_seen(match, gate.text, comparison, runs, alpha, tripped=text == gate.tripped_reason, anytime=anytime,
                       options=options)  # fmt: skip
        elif match := GATE_OF_LOST.fullmatch(text):
            if "baseline" not in text:
                own = [one for _, one in runs.members[runs.names[match["row"]]]]
                assert int(match["of"]) == len(own)
                count = sum(one.outcome in match["how"].split(" or ") for one in own)
                assert int(match["count"]) == count
        else:
            assert NOTHING.fullmatch(text), f"no known reason: {text}"


def check_seen(match, gate, comparison, runs, alpha, *, tripped, anytime, options=()):
    """Hold mean, interval and number of seeds of a gate's reason to the row's values, or to its paired differences."""
    metric, row, direction = match["metric"], match["row"], match["direction"]
    values = list(runs.values(row, metric).values())
    if direction:
        sign = -1 if direction == "drop" else 1
        values = [sign * (a - b) for a, b in runs.pairs(row, runs.counterpart(factors_of(runs, row)), metric)]
    assert int(match["n"]) == len(values)
    assert_printed(match["mean"], fmean(values), metric)
    if match["low"] is None:
        return
    if direction and is_by_two_stages(metric, options):
        pilot = pilot_differences(runs, row, runs.counterpart(factors_of(runs, row)), metric, options)
        low, high = two_stage_interval(values, [sign * one for one in pilot], alpha)
    else:
        low, high = anytime_interval(values, alpha) if anytime else students(values, alpha)
    assert_interval(match, low, high, metric, int(direction is not None))
    assert (match["unit"] if direction else units(metric)) == units(metric)
    if tripped and match["before"] is None and not gate.startswith("no row"):
        bound = re.search(r"([<>]) ([\d.]+)", gate)
        number = float(bound[2]) / scaled(metric)
        assert low > number if bound[1] == ">" else high < number


def anytime_interval(values, alpha):
    """The means that are just rejected, by bisection; the mean twice for values that differ by rounding alone."""
    if max(values) - min(values) <= 1e-12 * max(map(abs, values)):
        return values[0], values[0]
    mean, reach = fmean(values), max(values) - min(values)
    steps = [(one - mean) / reach for one in values]
    far = next(2.0**k for k in range(60) if anytime_p(steps, 2.0**k) < alpha)
    half = reach * scipy.optimize.brentq(lambda step: anytime_p(steps, step) - alpha, 0, far, rtol=1e-12)
    return mean - half, mean + half


def is_cut(ends, metric):
    """Whether an interval of single values goes beyond its metric's scale."""
    most = 1.0 if METRICS[metric].unit == "fraction" else float("inf")
    return ends is not None and (ends[0] < 0 or ends[1] > most)


def check_outlook(comparison, runs, metric, options):
    """Hold each sentence on a further run and a new seed to the JSON and to the runs, and each row to one."""
    rows = {runs.name(row["factors"]): row for row in comparison["rows"]}
    wanted = {name for name, row in rows.items() if row["metrics"][metric]["prediction"] is not None}
    seen = []
    for text in comparison["further_runs"]:
        if NO_PREDICTION.fullmatch(text):
            assert is_bounded(metric)
            continue
        match = FURTHER.fullmatch(text) or SAME_EACH_TIME.fullmatch(text)
        assert match, f"no known sentence: {text}"
        seen.append(match["row"])
        values = list(runs.values(match["row"], metric).values())
        assert (match["metric"], int(match["n"])) == (metric, len(values))
        assert_lost((match["lost"] or "").removeprefix("; "), runs, (match["row"],), metric)
        ends = rows[match["row"]]["metrics"][metric]["prediction"]
        if match.re is SAME_EACH_TIME:
            assert ends[0] == ends[1]
            continue
        size = max(map(abs, values))
        t = scipy.stats.t.ppf(1 - options["alpha"] / 2, len(values) - 1)
        half = t * size * stdev([one / size for one in values]) * (1 + 1 / len(values)) ** 0.5
        assert abs(ends[0] - (fmean(values) - half)) <= 1e-9 * (size + half)
        assert abs(ends[1] - (fmean(values) + half)) <= 1e-9 * (size + half)
        assert_interval(match, *ends, metric, 0)
        assert float(match["level"]) == float(f"{100 * (1 - options['alpha']):g}")
    assert sorted(seen) == sorted(wanted)
    assert is_bounded(metric) == (not wanted) or not seen
    check_new_seeds(comparison["new_seeds"], rows, runs, metric, options)


def check_new_seeds(sentences, rows, runs, metric, options):
    seen, direction = [], METRICS[metric].higher_is_better
    for text in sentences:
        match = NEW_SEED.fullmatch(text)
        assert match, f"no known sentence: {text}"
        seen.append(match["row"])
        row = rows[match["row"]]
        found = row["vs_baseline"][metric]["new_seed"]
        assert (match["metric"] or "test.accuracy") == metric
        assert runs.counterpart(row["factors"]) == match["base"]
        assert match["verb"] == ("exceeds" if direction is None else "beats")
        sign = -1 if direction is False else 1
        ahead = [sign * (a - b) for a, b in runs.pairs(match["row"], match["base"], metric)]
        n = len(ahead)
        assert (int(match["n"]), int(match["ties"] or 0)) == (n, sum(one == 0 for one in ahead))
        assert_lost((match["lost"] or "").removeprefix("; "), runs, (match["row"], match["base"]), metric)
        check_chance(
            match, "chance", found, sum(one > 0 for one in ahead) + sum(one == 0 for one in ahead) / 2, n, options
        )
        if METRICS[metric].unit != "fraction" or is_bounded(metric):
            assert found["within_delta"] is None
            assert match["delta"] is None
            continue
        delta = options.get("delta", 0.1) / 100
        assert_printed(match["delta"], delta, metric)
        better, worse = (sum(side * one > delta + 1e-12 for one in ahead) for side in (1, -1))
        for name, count in (("better", better), ("worse", worse), ("same", n - better - worse)):
            check_chance(match, name, found["within_delta"][name], count, n, options)
    judged = {name for name, row in rows.items() if row["vs_baseline"].get(metric, {"n_pairs": 0})["n_pairs"] >= 3}
    assert sorted(seen) == sorted(judged)


def check_chance(match, name, found, count, n, options):
    """A chance is a count, with Clopper and Pearson's interval from scipy's beta distribution."""
    alpha = options["alpha"]
    low = 0.0 if count == 0 else scipy.stats.beta.ppf(alpha / 2, count, n - count + 1)
    high = 1.0 if count == n else scipy.stats.beta.ppf(1 - alpha / 2, count + 1, n - count)
    for part, value in (("share", count / n), ("low", low), ("high", high)):
        assert abs(found[part] - value) <= 1e-9
        assert abs(float(match[f"{name}_{part}"]) - 100 * value) <= 0.5001


def students(values, alpha):
    """Student's interval, by scipy."""
    if len(set(values)) == 1:
        return values[0], values[0]
    return scipy.stats.t.interval(1 - alpha, len(values) - 1, loc=fmean(values), scale=scipy.stats.sem(values))


def check_methods(match, runs, metrics, options):
    """The caption names the method of each metric, and of each part of its rows, those that are hidden included."""
    wanted = {}
    for metric in metrics:
        pairs = [
            len(runs.pairs(name, runs.counterpart(factors_of(runs, name)), metric))
            for name in runs.names
            if runs.counterpart(factors_of(runs, name)) in runs.names
            and runs.counterpart(factors_of(runs, name)) != name
        ]
        by_holm = "anytime" in options or is_by_two_stages(metric, options)
        method = "Holm" if by_holm else method_of(pairs, metric, options["alpha"])
        wanted.setdefault(method, []).append(metric)
    assert int(match["sizes"]) == len(pairs)
    if len(wanted) == 1 and "," not in next(iter(wanted)):
        assert match["method"] == f"{next(iter(wanted))}-adjusted"
        return
    assert match["method"] == "adjusted"
    words = [f"{method} in {', '.join(own)}" for method, own in wanted.items()] if len(wanted) > 1 else list(wanted)
    assert match["methods"] == " and by ".join(words)


def method_of(pairs, metric, alpha):
    """How the rows of a metric are adjusted, in the caption's words, by their numbers of pairs alone."""
    if is_bounded(metric):
        return "max-T"
    least = fewest(alpha / 4)
    least = None if least is None else max(8, least)
    many = [n for n in pairs if least is not None and n >= least]
    few = [n for n in pairs if n not in many]
    if not many:
        return "Holm"
    if all(n < 3 for n in few):
        return "max-T"
    return (
        f"max-T for the {len(many)} with at least {least} pairs, Holm for the other {len(few)}, each at its share of "
        "the level"
    )
