"""Account numbers, references and the letters of banks: published examples, and what is refused."""

import pytest

from settlement.bank.errors import AccountInvalid
from settlement.bank.letters import ALLOWED, bank_text
from settlement.bank.numbers import read_bic, read_iban, show_iban
from settlement.errors import ReferenceInvalid
from settlement.references import (
    creditor_reference,
    end_to_end_id,
    read_reference,
    references_in,
    refund_id,
    refund_reference,
)


@pytest.mark.parametrize(
    ("text", "iban"),
    [
        ("GB29 NWBK 6016 1331 9268 19", "GB29NWBK60161331926819"),
        ("de89370400440532013000", "DE89370400440532013000"),
        ("FR14 2004 1010 0505 0001 3M02 606", "FR1420041010050500013M02606"),
        ("NO9386011117947", "NO9386011117947"),
        ("MT84MALT011000012345MTLCAST001S", "MT84MALT011000012345MTLCAST001S"),
    ],
)
def test_the_examples_of_the_registry_are_ibans(text: str, iban: str) -> None:
    """The registry's own examples are read, blanks and small letters or not, and shown in fours."""
    assert read_iban(text) == iban
    assert show_iban(iban).replace(" ", "") == iban
    assert max(len(part) for part in show_iban(iban).split()) == 4


@pytest.mark.parametrize(
    "text",
    [
        "",
        "DE",
        "DE89370400440532013001",  # one digit wrong
        "DE8937040044053201300",  # one digit short
        "DE98370400440532013000",  # check digits turned round
        "ZZ89370400440532013000",  # no such country
        "GB29NWBK6016133192681A",  # a letter among digits
        "DE89370400440532013000" * 4,
        "DE8937040044053201300\u0660",  # an Arabic zero
        "<script>",
        "DE89\n3704 0044 0532 0130 00\x00",
    ],
)
def test_what_is_no_iban_is_refused(text: str) -> None:
    """A wrong digit, length, country or sign never passes for an account number."""
    with pytest.raises(AccountInvalid, match="is no IBAN"):
        read_iban(text)


def test_a_bank_code_has_eight_or_eleven_signs() -> None:
    """BICs are read in either length; others are refused."""
    assert read_bic("deutdeff") == "DEUTDEFF"
    assert read_bic("NEDSZAJJXXX") == "NEDSZAJJXXX"
    for wrong in ("", "DEUTDEF", "DEUTDEFF5", "1EUTDEFF", "DEUTDEFFXXXX"):
        with pytest.raises(AccountInvalid, match="is no BIC"):
            read_bic(wrong)


def test_the_same_payment_has_the_same_names() -> None:
    """Both names follow from what the payment is, and another attempt has other ones."""
    assert (
        end_to_end_id(window_id=12, revision=1, participant_id=11, currency="EUR", direction="out")
        == "W00000012-R01-P00011-EUR-O-01"
    )
    assert (
        creditor_reference(window_id=12, revision=1, participant_id=11, currency="EUR", direction="out")
        == "RF47000000120100011EURO01"
    )
    assert (
        end_to_end_id(
            window_id=20170503, revision=2, participant_id=99999, currency="JPY", direction="in", attempt=3
        )
        == "W20170503-R02-P99999-JPY-I-03"
    )
    assert refund_id(7) == "REFUND-0000000007"
    assert read_reference(refund_reference(7)) == refund_reference(7)


@pytest.mark.parametrize(
    ("window_id", "revision", "participant_id", "attempt", "currency"),
    [
        (10**8, 1, 11, 1, "EUR"),
        (1, 100, 11, 1, "EUR"),
        (1, 1, 10**5, 1, "EUR"),
        (1, 1, 11, 100, "EUR"),
        (-1, 1, 11, 1, "EUR"),
        (1, 1, 11, 1, "eur"),
    ],
)
def test_a_figure_without_a_place_is_refused(
    window_id: int, revision: int, participant_id: int, attempt: int, currency: str
) -> None:
    """A name is never cut short to fit, so no two payments share one."""
    given = {"window_id": window_id, "revision": revision, "participant_id": participant_id}
    for name in (end_to_end_id, creditor_reference):
        with pytest.raises(ReferenceInvalid):
            name(**given, currency=currency, direction="in", attempt=attempt)
    for number in (0, 10**10):
        with pytest.raises(ReferenceInvalid):
            refund_id(number)


def test_references_are_known_by_their_check_digits() -> None:
    """The example of ISO 11649 is read in any spacing; a typing error, or another text, is none."""
    assert read_reference("RF18 5390 0754 7034") == "RF18539007547034"
    assert read_reference("rf18539007547034") == "RF18539007547034"
    for wrong in (
        "RF18539007547035",
        "RF81539007547034",
        "RF18",
        "",
        "539007547034",
        "RF18 5390 0754 70\u0663",
    ):
        assert read_reference(wrong) is None


def test_references_are_found_within_texts() -> None:
    """Payers write around a reference; what only looks like one is left alone."""
    assert references_in("Invoice RF18 5390 0754 7034 of May") == ("RF18539007547034",)
    assert references_in("rf18539007547034,RF18539007547034;") == ("RF18539007547034",)
    assert references_in("XRF18539007547034") == ()
    assert references_in("RF18 5390 0754 7035, thank you") == ()
    assert references_in("RF47000000120100011EURO01 RF18539007547034") == (
        "RF47000000120100011EURO01",
        "RF18539007547034",
    )


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("Käse & Söhne GmbH", "Kase + Sohne GmbH"),
        ("Straße 7_b", "Strasse 7-b"),
        ("Ærøskøbing Łódź", "AEroskobing Lodz"),
        ("Παντοπωλείο Ψάρι", "Pantopoleio PSari"),
        ("Щастие ООД", "SHTastie OOD"),
        ("\u201cQuoted\u201d \u2013 dashed", "'Quoted' - dashed"),
        ("//Slash//ed//", "Slash/ed"),
        ("A\x00B\tC\nD", "A B C D"),
        ("100 % <b>", "100 . .b."),
        ("東京", ".."),
        ("ﬁne", "fine"),
        ("", ""),
        ("///", ""),
    ],
)
def test_letters_become_those_that_banks_take(name: str, written: str) -> None:
    """Accents fall away, other alphabets and signs have letters that stand for them."""
    assert bank_text(name, 70) == written


def test_a_text_is_cut_where_it_must_end() -> None:
    """No text is longer than asked for, nor does it end in a blank or slash by being cut."""
    assert bank_text("ab cd", 3) == "ab"
    assert bank_text("ab/cd", 3) == "ab"
    assert bank_text("ß" * 50, 70) == "s" * 70
    assert set(bank_text("".join(map(chr, range(0x2500))), 10**6)) <= ALLOWED
