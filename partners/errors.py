"""Errors of the partners room, under one root."""


class PartnersError(Exception):
    """Root of all errors raised by the partners room."""


class KeyNotAccepted(PartnersError):
    """A key that must not be stored was handed to the store; the code says why (see partners.keys)."""

    def __init__(self, key_id: str, code: str, detail: str) -> None:
        super().__init__(f"key {key_id!r} was not stored, {code}: {detail}")
        self.code = code


class KeyNotFound(PartnersError):
    """No key of that id is registered."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"no key {key_id!r} is registered: check the id against the table partner_key")


class DraftUnfit(PartnersError):
    """A contract that was drafted says what no contract can; each fault is named."""


class DraftUnknown(PartnersError):
    """There is no such draft, or it was decided before."""


class RateUnfit(PartnersError):
    """A rate that is none, or would change what nights were worked out by."""


class TermsNotAccepted(PartnersError):
    """A terms version would rewrite history: versions are only ever superseded, by a later date."""


class PeopleError(PartnersError):
    """Root of what operators are told about themselves, their sessions and their proposals."""


class NameInvalid(PeopleError):
    """A text is no login."""


class PasswordUnfit(PeopleError):
    """A password is too short, too long, or too easy."""


class SignInRefused(PeopleError):
    """Login, password or code is wrong, or the operator may not sign in; which, is not told."""


class TooManyTries(PeopleError):
    """Nobody signs in under this name for a while, whoever it is."""

    def __init__(self, seconds: int) -> None:
        super().__init__("too many tries: wait, then try again")
        self.seconds = seconds


class TokenRefused(PeopleError):
    """A session's token is not ours, is over, or was used before."""


class OperatorUnknown(PeopleError):
    """There is no such operator."""


class OperatorKnown(PeopleError):
    """There is an operator of that name."""


class NotAllowed(PeopleError):
    """The operator's role, or who it is, does not let it do this."""


class NotNow(PeopleError):
    """What is asked for does not fit how things are."""


class ProposalUnknown(PeopleError):
    """There is no such proposal."""


class ProposalDecided(PeopleError):
    """The proposal was decided before."""


class ProposalChanged(PeopleError):
    """What is approved is not what was proposed, or things have changed since."""


class ProposalOpen(PeopleError):
    """The same is proposed already and waits for a decision."""


class SecondPersonNeeded(PeopleError):
    """Who prepared it cannot approve it."""


class RecordUnfit(PeopleError):
    """A record of the audit would hold what has no one spelling, such as a float."""


class SecretUnreadable(PeopleError):
    """A stored secret was sealed under another key, or changed."""


class PartnerUnknown(PartnersError):
    """No partner has that code."""


class HookRefused(PartnersError):
    """What a partner asks of its webhooks cannot be; `code` is the problem's."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class FileReused(PartnersError):
    """Another file was sent under the same reference."""


class FilesWaiting(PartnersError):
    """So many files of a partner wait that no more are taken."""


class FileMovedOn(PartnersError):
    """Another process carries a file out that this one had the claim to."""
