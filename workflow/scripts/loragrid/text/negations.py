"""Negations of words in texts, as in "not positive"."""

from __future__ import annotations

from loragrid.text.words import compiled

REACH = 80
"""Characters before a word in which its negation is looked for."""


_NOT = (
    r"(?:\w{2,8}n['’]t|(?:is|are|was|were|do|does|did|ca|wo|would|should|could|has|have|ai)nt|not|never|no|non|nor|"
    r"nothing|neither|cannot|without|hardly|far[ ]from|anything[ ]but|rather[ ]than|instead[ ]of|"
    # German, French, Spanish, Portuguese, Italian, Russian
    r"nicht|kein\w{0,2}|nie|niemals|weder|noch|pas|jamais|aucune?|nunca|jamás|ni|não|nem|né|не|ни|никогда)"
)


# Words that may stand between a negation and what it is about. "Not only positive" and "no doubt positive" negate nothing.
_BETWEEN = (
    r"(?:(?!only|merely|simply|solely|surprisingly)\w{2,20}ly|an?|the|any|at|all|longer|very|so|too|quite|"
    r"be|been|being|is|was|are|were|it|its|this|that|to|of|as|in|for|have|has|"
    r"seem|seems|appear|appears|sound|look|feel|considered|classified|labell?ed|called|rated|count|qualify|imply|express(?:ing)?|"
    r"convey(?:ing)?|show(?:ing)?|contain(?:ing)?|think|believe|say|call|find|see|review|text|sentence|statement|answer|tweet|"
    r"comment|message|post|passage|article|premise|hypothesis|pair|example|"
    r"ein|eine|einen|der|die|das|ist|wirklich|une?|le|la|les|vraiment|est|es|el|un|uma?|o|é)"
)


_OF_SPACED = rf"(?<!\w){_NOT}(?:[-‐ ]|[ ]?[\"'“„*_(]{{1,3}})(?:{_BETWEEN}[ ]){{0,5}}[\"'“„*_(]{{0,3}}$"


_OF_UNSPACED = r"[不没沒無无未]$|[并並]?非$|不(?:是|太|算|够)$"


_OR = r"^[\"'”*_)]{0,3},?[ ](?:or|nor|oder|noch|ni|ou|o|nem|или)[ ](?:an?[ ]|the[ ])?[\"'“*_(]{0,3}$"


PREFIXES = ("not ", "non ", "no ", "not", "non", "un", "in", "im", "ir", "il", "nicht ", "不", "非", "无")
"""What makes a label of its opposite."""


def is_negated(before: str) -> bool:
    """Whether the word that follows a folded text is negated in it."""
    return compiled(f"{_OF_SPACED}|{_OF_UNSPACED}").search(before[-REACH:]) is not None


_DENIED = (
    r"^[\"'”*_`)\].]{0,4}(?:[ ](?:and|or)[ ]\S{1,3}(?=[ ]are))?[ ](?:"
    r"(?:is|was|are|would[ ]be|seems|must[ ]be|can[ ]be)[ ](?:(?:clearly|also|therefore|obviously)[ ])?"
    r"(?:incorrect|wrong|ruled[ ]out|eliminated|excluded|not[ ](?:the[ ]|a[ ])?(?:correct|right|true|answer|best|possible))|"
    r"(?:is|was|are)n['’]?t[ ](?:the[ ]|a[ ])?(?:correct|right|true|answer|best|possible))(?!\w)"
)


def is_denied(behind: str) -> bool:
    """Whether a folded text says of the word before it that it is wrong, as in "is incorrect"."""
    return compiled(_DENIED).match(behind[:REACH]) is not None


def goes_on(between: str) -> bool:
    """Whether a text between two words lets a negation of the first hold for the second too, as in "not good or bad"."""
    return compiled(_OR).match(between) is not None
