"""What can be diagnosed: a law as a table or at length, and conditionals such as a network's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations
from math import factorial

from experiments.chains.model_spec import ModelSpec
from experiments.decoding.record import require_known
from experiments.diagnosis.commands import STORED, Commands
from experiments.diagnosis.decoding import DECODER, Decoders, decoding, default_calls
from experiments.diagnosis.findings import Diagnosis, shown
from experiments.diagnosis.learning import learning
from experiments.diagnosis.modes import (
    MASKING,
    MIXING,
    OF_NETWORKS,
    PARALLEL_LAW,
    SCAN_ORDER,
    STUCK,
    TOKEN_ORDER,
    TOO_FEW,
)
from experiments.diagnosis.sampling import LawSamplers, NetworkSamplers, Samplers, Unknown, sampling
from theory.blas import one_blas_thread
from theory.cached_conditionals import CachedConditionals
from theory.conditionals import ConditionalModel, TableConditionals
from theory.decoding import output_law, sequential
from theory.decoding.tables import ConditionalTables
from theory.divergences import kullback_leibler
from theory.errors import InvalidInput
from theory.incompatibility import rectangle_test, scan_order_gap, scan_order_laws
from theory.laws import JointLaw
from theory.laws.length import SequenceLaw

Say = Callable[[str], None]

ORDERS = 24
"""Scan orders that are compared: all of them up to four sites, beyond both directions."""

BUDGET = 60.0
"""Seconds that a sampler's exact mixing time may take; beyond, bounds."""


def diagnose(
    subject: JointLaw | SequenceLaw | ConditionalModel,
    *,
    decoder: str = DECODER,
    calls: int | None = None,
    k: int = 1,
    data: int | None = None,
    name: str | None = None,
    site_names: Sequence[str] | None = None,
    commands: Commands | None = None,
    spec: ModelSpec | None = None,
    budget: float = BUDGET,
    seed: int = 0,
    say: Say = lambda text: None,
) -> Diagnosis:
    """The failure modes of a law or of conditionals, ranked: ``print(diagnose(law))`` is the answer.

    Args:
        subject: a table, a law at length, or conditionals such as a network's, which need have no joint law.
        decoder: the rule that is used, NAME[:OPTION=VALUE,...].
        calls: network calls T of decoders; by default one for four sites.
        k: mask size of Gibbs and of learning.
        data: sequences that there are to learn from.
        name: of the subject in sentences.
        site_names: of its sites, by default their numbers.
        commands: how the subject is named on the command line; by default a table in law.npy.
        spec: where a law comes from, if it has a name: its symmetries are then known.
        budget: seconds for each exact mixing time; beyond, bounds.
        seed: of replays at length.
        say: told what is being done.

    Raises:
        InvalidInput: an unknown decoder, calls or a mask size outside 1..N, or no positive number of sequences.
        ExceedsMemory: not even the first answer fits.
    """
    sites = subject.sites
    require_known([decoder], [], sites)
    for option, value in (("calls", calls), ("k", k)):
        if value is not None and not 1 <= value <= sites:
            raise InvalidInput(option, value, f"1 to {sites}, the number of sites")
    if data is not None and data < 1:
        raise InvalidInput("data", data, "at least 1 sequence is needed")
    if not budget > 0:
        raise InvalidInput("budget", budget, "a positive number of seconds is needed")
    asked = default_calls(sites) if calls is None else calls
    settings = {"sites": sites, "symbols": subject.symbols, "decoder": decoder, "calls": asked, "k": k, "data": data}
    known = getattr(subject, "name", "conditionals")
    title = name or (known if f"N={sites}" in known else f"{known}, N = {sites}")
    diagnosis = Diagnosis(title, settings)
    given = Commands.of_law(STORED) if commands is None else commands
    if isinstance(subject, TableConditionals):
        subject = subject.law
    table: JointLaw | None = None
    samplers: Samplers | None = None
    network: ConditionalTables | None = None
    with one_blas_thread():
        if isinstance(subject, JointLaw):
            table, samplers = subject, LawSamplers(subject, spec, budget)
        elif isinstance(subject, ConditionalModel):
            cached = CachedConditionals(subject)
            say("stationary law")
            try:
                learned = NetworkSamplers(cached)
            except Unknown as error:
                reason = f"not measured: single-site Gibbs has no stationary law to be found ({error})"
                diagnosis.leave_out(reason, *OF_NETWORKS)
                return diagnosis
            shape = (cached.symbols,) * sites
            table, samplers, network = JointLaw(learned.law.reshape(shape)), learned, ConditionalTables(cached)
            say("incompatibility")
            _incompatibility(diagnosis, cached, given, site_names or [str(site) for site in range(sites)])
        if network is None:
            diagnosis.leave_out("does not apply: the conditionals are those of one law", SCAN_ORDER, TOKEN_ORDER)
        if table is None or samplers is None:
            sequences = f"{subject.symbols}^{sites} sequences are no table"
            reason = f"not measured: {sequences}; diagnose the law at fewer sites"
            diagnosis.leave_out(reason, MIXING, STUCK, PARALLEL_LAW, MASKING, TOO_FEW)
        else:
            say("samplers")
            sampling(diagnosis, samplers, k, given, budget)
            say("learning")
            learning(diagnosis, table, k, data, given)
        say("decoders")
        law = subject if isinstance(subject, SequenceLaw) else table
        assert law is not None
        decoding(diagnosis, Decoders(law, network, seed), decoder, asked, given)
    return diagnosis


def _incompatibility(
    diagnosis: Diagnosis, conditionals: CachedConditionals, commands: Commands, names: Sequence[str]
) -> None:
    """What the order of scanning, and of decoding token by token, changes."""
    sites = conditionals.sites
    if sites == 1:
        diagnosis.leave_out("does not apply: one site is always compatible", SCAN_ORDER, TOKEN_ORDER)
        return
    forward, backward = tuple(range(sites)), tuple(range(sites))[::-1]
    every = factorial(sites) <= ORDERS
    orders = list(permutations(forward)) if every else [forward, backward]
    odds = rectangle_test(conditionals)
    apart = scan_order_gap(scan_order_laws(conditionals, orders))
    says = (
        f"two scans that differ in the order of the sites end {shown(apart)} apart in total variation; the largest "
        f"log-odds around a rectangle are {shown(odds.maximum)} nats, between sites "
        f"{' and '.join(names[site] for site in odds.sites)}"
    )
    kind = "exact" if every else "lower"
    diagnosis.add(SCAN_ORDER, apart, says, kind, commands.decoder("random-order", sites), "draws that no scan decides")
    ahead, back = (output_law(conditionals, sequential(order)).probabilities for order in (forward, backward))
    loss = max(kullback_leibler(ahead, back), kullback_leibler(back, ahead)) / sites
    says = f"decoded token by token, left to right and right to left are {shown(loss)} nats a token apart"
    diagnosis.add(TOKEN_ORDER, loss, says, "exact", commands.decoder("random-order", sites), "the mean over orders")
