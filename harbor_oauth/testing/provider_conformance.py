"""What every provider is held to.

Subclass `ProviderConformance`, say which provider and where the vendor's
recorded answers are, and run it with pytest::

    class TestAcme(ProviderConformance):
        provider = PROVIDER
        responses = Path(__file__).parent / "responses"

The files are described in `harbor_oauth.testing._provider_answers`. No request
leaves the machine: the vendor is played by the doubles of this package, with
the paths, habits and recorded answers of the vendor's.

What the vendor's own deviations need besides is tested with `Vendor`.
"""

from __future__ import annotations

from harbor_oauth.testing._provider_answer_tests import AnswerTests
from harbor_oauth.testing._provider_data_tests import DataTests
from harbor_oauth.testing._provider_sign_in_tests import SignInTests

__all__ = ["ProviderConformance"]


class ProviderConformance(DataTests, AnswerTests, SignInTests):
    """The contract of a provider's plugin, as tests.

    A test that does not apply is not run, such as that of the quirks where there
    are none; ``TestAcme.left_out`` tells each with its reason.

    Attributes:
        provider: The provider, or its entry point's name.
        responses: The folder of recorded answers.
        without_s256: Why the pinned metadata of a resource does not name S256,
            by the resource's name.
        left_out: What is not run: ``test``, or ``test[resource]``, to the reason.
    """
