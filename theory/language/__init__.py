"""The synthetic parallel language: its exact posterior p(y | x), and what perfect refinement of it does."""

from theory.language.parallel_language import ParallelLanguage, TargetLaw

__all__ = ["ParallelLanguage", "TargetLaw"]
