"""The formula at the heart of each claim, as MathML, which browsers set without any file or network; and its source."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping

FORMULAS: Mapping[str, str] = {
    "C1": r"\nabla^2 L(\theta^*) = I_{\mathrm{PL}} = \mathbb{E}\,[s s^\top], \qquad "
    r"\sqrt{n}\,(\hat\theta - \theta^*) \to N(0, I_{\mathrm{PL}}^{-1})",
    "C2": r"\Gamma_{k+1} \preceq \Gamma_k, \qquad \Gamma_N = I^{-1}",
    "C3": r"I^{-1} \preceq \Gamma \preceq C_P\, I^{-1}",
    "C4": r"\mathrm{TV}(p, p_{\hat\theta})^2 \le \tfrac12 C_{\mathrm{AT}} \left[ 2 \ln\tfrac1\beta "
    r"\sqrt{\frac{\ln(2C/\delta)}{2n}} + 2\varepsilon \right]",
    "C5": r"\mathrm{KL}(r\,\|\,q) \le C_{\mathrm{AT}}\, \mathbb{E}_K \mathbb{E}_r \mathrm{KL}\big(r(\cdot|x_{-K})\,\|\,"
    r"q(\cdot|x_{-K})\big), \qquad C_P \le C_{\mathrm{AT}} \le C_P \frac{\ln(1/q_{\min} - 1)}{1 - 2 q_{\min}}",
    "C6": r"\mathrm{KL}(\nu P\,\|\,q) \le \Big(1 - \frac{1}{C_{\mathrm{AT}}}\Big) \mathrm{KL}(\nu\,\|\,q), \qquad "
    r"t_{\mathrm{mix}}(\varepsilon) \le C_{\mathrm{AT}} \Big(\ln\ln\frac{1}{q_{\min}} + "
    r"\ln\frac{1}{2\varepsilon^2}\Big) + 1",
    "C7": r"P(x'\,|\,x) = \prod_i P_i(x'_i\,|\,x), \qquad \min \mathrm{KL} = "
    r"\mathbb{E}_{K, x_{-K}} \mathrm{TC}(x_K\,|\,x_{-K})",
    "C8": r"T \ge \frac{\ln\delta}{\ln(1-c)}, \quad c = \frac{\binom{N-m}{k-m}}{\binom{N}{k}}\, p(x_C = +1); \qquad "
    r"P(\text{leave}) \le \operatorname{sech}(J-h)^m",
    "C9": r"\mathrm{KL}(p\,\|\,q_S) = \sum_t \mathrm{TC}(x_{S_t}\,|\,x_{S_{<t}})",
    "C10": r"\rho = \ln \prod_{\text{cycle}} \frac{p_i(\cdot\,|\,x_{-i})}{p_i(\cdot'\,|\,x_{-i})} = 0 "
    r"\iff \text{a joint law}",
    "D1": r"\text{calls}(\text{chain}) = \lceil \log_2(N+1) \rceil",
    "D2": r"q(x) = p(x) \text{ for one token a call}",
    "D4": r"\mathrm{TC}(x_D) \le \sum_{i \in D} H(x_i) - \max_{i \in D} H(x_i) \le \gamma, \qquad "
    r"\mathrm{KL}(p\,\|\,q) \le \gamma\, \mathbb{E}_p[\text{calls}]",
    "N1": r"n\,\mathbb{E}\,|\hat\theta - \theta^*|^2 \to \operatorname{tr} \Gamma_k",
    "N2": r"\mathrm{TV}(\nu Q^t, \nu P^t) \le \max_x \mathrm{TV}(Q(x,\cdot), P(x,\cdot)) \sum_{s<t} \delta(P^s)",
    "N4": r"L(\theta) - L(p) \le 2 \ln\tfrac1\beta \sqrt{\frac{\ln(2C/\delta)}{2n}} + 2\varepsilon + "
    r"[L_n(\theta) - L_n(p)]_+",
    "N5": r"P(K\,|\,x) \propto p(x_K\,|\,x_{-K})^{-\lambda}",
    "N6": r"I(x_i; x_j\,|\,x_{-ij}) = \mathbb{E}\,\mathrm{KL}\big(p(x_i|x_{-i})\,\|\,p(x_i|x_{-ij})\big)",
    "N7": r"\mathbb{E}_K \mathbb{E}\,\mathrm{KL}\Big(p(x_K|x_{-K})\,\|\,\prod_i P_i\Big) = "
    r"\mathbb{E}_K \mathrm{TC} + \mathbb{E}_K \sum_i \mathbb{E}\,\mathrm{KL}\big(p(x_i|x_{-K})\,\|\,P_i\big)",
    "P2": r"P(\text{one register}) = \sum_z w_z^{\,l}",
    "P6": r"\mathrm{KL}(p\,\|\,q) = \mathrm{KL}(p_L\,\|\,q_L) + \mathbb{E}_l\big[\mathrm{KL}(q^*\,\|\,q) + "
    r"\mathrm{KL}(p\,\|\,q^*)\big], \qquad q^*_i = p_i",
}
"""The formula at the heart of a claim, in LaTeX, where there is one."""

_ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")


def formula(claim: str) -> str:
    """The formula of a claim as MathML; empty where there is none."""
    if claim not in FORMULAS:
        return ""
    from latex2mathml.converter import convert

    return str(convert(FORMULAS[claim], display="block"))


def linked(source: str) -> str:
    """A reference as HTML, its arXiv numbers as links."""
    return _ARXIV.sub(r'<a href="https://arxiv.org/abs/\1">arXiv:\1</a>', html.escape(source, quote=False))
