"""Claims decided on rational laws: fractions and balls in place of float64 (claims C2, C3, C5, C6, C8, C9).

Nothing here uses the float64 routes of the other packages: kernels, information matrices, gaps, entropies and times are
made anew from their definitions, so that an error of theirs is not repeated. What a comparison proves is proved for the
law that it is about; where balls overlap in every precision the answer is None.

    arithmetic    fractions, balls, and deciding in rising precision
    laws          rational laws, masks, kernels
    definite      positive definite or not
    gaps          the spectral gap, enclosed
    information   information matrices and their order
    logarithms    sums of logarithms, compared by unique factorisation
    entropy       divergences, and the constant of strong data processing over all laws
    mixing        exact mixing, hitting and staying
    decoding      output laws of schedules

Needs python-flint, the extra ``certify``.
"""
