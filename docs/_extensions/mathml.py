"""Equations as MathML, which browsers draw by themselves: no script, no picture, nothing from the network.

Docutils turns TeX into MathML. What it does not know stops the build with a warning that names the equation.
"""

from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.locale import get_translation
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

log = logging.getLogger(__name__)
_ = get_translation("sphinx")


def setup(app: Sphinx) -> dict[str, Any]:
    """Makes the renderer known."""
    app.add_html_math_renderer("mathml", inline_renderers=(_visit_inline, None), block_renderers=(_visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _visit_inline(translator: HTML5Translator, node: nodes.math) -> None:
    translator.body.append(_mathml(node, block=False))
    raise nodes.SkipNode


def _visit_block(translator: HTML5Translator, node: nodes.math_block) -> None:
    translator.body.append(translator.starttag(node, "div", CLASS="math"))
    if node["number"]:
        number = translator.builder.env.domains["math"].equations[node["label"]][1]
        translator.body.append(f'<span class="eqno">({number})')
        translator.add_permalink_ref(node, _("Link to this equation"))
        translator.body.append("</span>")
    translator.body.append(_mathml(node, block=True) + "</div>\n")
    raise nodes.SkipNode


def _mathml(node: nodes.Element, *, block: bool) -> str:
    tex = node.astext()
    try:
        return str(tex2mathml(tex, as_block=block))
    except MathError as error:
        log.warning("this equation cannot be made MathML (%s): %s", error, tex, location=node)
        return ""
