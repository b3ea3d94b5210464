"""What each problem comes from and what to do about it; with api.problems the source of the error catalogue.

The title in api.problems says what is the case; here stand the usual cause, and the way on.
"""

from collections.abc import Mapping

Advice = tuple[str, str]
"""Where it usually comes from; what to do."""

_SAME_AGAIN = "Send the same request again, with the same reference, after Retry-After seconds."
_ASK_OPERATOR = "Ask the network's operator."
_LOOK_AT_ENTRY = "Look the entry up first: GET /v1/entries/{entry}."

ADVICE: Mapping[str, Advice] = {
    # the request itself
    "malformed_json": (
        (
            "A broken encoder, a name that stands twice in one object, bytes that are not UTF-8,"
            " hundreds of nested brackets, or a number of thousands of digits."
        ),
        "Build the body with a JSON library, and sign the very bytes that you send.",
    ),
    "cursor_invalid": (
        "The cursor was changed, cut, or belongs to another list or another partner.",
        "Pass next_cursor on as it came, or begin again without a cursor.",
    ),
    "media_type_unsupported": (
        "Content-Type is missing or another one, or the body is compressed where that is not taken.",
        "Send the content type that the description names, and no Content-Encoding.",
    ),
    "body_too_large": (
        "One request holds more than this address takes: 1 MB, files 64 MB.",
        "Send less at a time; many commands go as a file.",
    ),
    "validation_failed": (
        (
            "A field is missing, unknown, of the wrong type or out of range; 12.0, true and the text 12"
            " are no integers."
        ),
        "`errors` points to the field; correct it. Nothing was stored, so the reference is still free.",
    ),
    "card_number_invalid": (
        "A digit was mistyped or misread.",
        "Have the card read again.",
    ),
    "not_found": (
        "The path is misspelled, or an id in it was left out.",
        "Compare the path with the description.",
    ),
    "method_not_allowed": (
        "GET where POST is meant, or the other way round.",
        "The header Allow says which.",
    ),
    # signatures
    "header_too_large": (
        "Cookies, traces or other header fields of a proxy, or a signature over more than 16 components.",
        "Send fewer and shorter header fields; only cover what must be covered.",
    ),
    "signature_missing": (
        "Signature or Signature-Input did not come with the request; a proxy may have dropped them.",
        "Sign every request below /v1, and let proxies pass both fields on.",
    ),
    "signature_malformed": (
        (
            "An unknown or repeated parameter, a second signature, capital letters, or base64 without"
            " its padding."
        ),
        'Write Signature-Input as the description shows it, with created, keyid and tag="loyalty-v1".',
    ),
    "signature_coverage": (
        "A component is missing from the signature, or one is covered that the request does not have.",
        (
            "Cover @method @authority @path @query; with a body content-type and content-digest; and"
            " idempotency-key where it is sent."
        ),
    ),
    "signature_time": (
        "Your clock is off, or the request waited longer than five minutes before it was sent.",
        "Set your clock by server_time, and sign anew right before you send.",
    ),
    "signature_invalid": (
        (
            "What was signed is not what came: another host, path, query or field, changed by a proxy"
            " perhaps; or the private key is not the one of keyid."
        ),
        (
            "In test mode POST /v1/debug/signature shows our signature base and the first line that"
            " differs from yours."
        ),
    ),
    "digest_mismatch": (
        "The body was changed after it was signed, often by encoding it a second time.",
        "Make the bytes once; digest, sign and send these.",
    ),
    "digest_unsupported": (
        "MD5, SHA-1 or another algorithm, or one named twice.",
        "Send Content-Digest: sha-256=:…: or sha-512=:…:",
    ),
    "key_unknown": (
        "keyid is misspelled, or the key was never registered with this network.",
        "Compare keyid with GET /v1/keys, or ask the operator which keys are registered.",
    ),
    "key_of_other_mode": (
        (
            "A test key (its id begins with test_) was used at the live address, or a live key at the"
            " test address."
        ),
        "Use each mode's own address with its own keys.",
    ),
    "key_revoked": ("The key was revoked, by you or by the operator.", "Sign with another key of yours."),
    "key_expired": (
        "The key's not_after has passed.",
        "Sign with another key; register the next one in time.",
    ),
    "key_not_yet_valid": ("The key's not_before has not come.", "Sign with the old key until then."),
    "weak_key": (
        "The 32 bytes are a point of low order: anybody can make signatures under it.",
        "Make a new key pair with a library's own function, and register that one.",
    ),
    "key_malformed": (
        (
            "The public key is not the 32 raw bytes of an Ed25519 key, or the id has characters that a"
            " header cannot carry."
        ),
        (
            "Send the raw public key, not its PEM or DER; ids have up to 128 printable characters, no"
            " space or quote."
        ),
    ),
    "key_interval": (
        "not_after does not come after not_before.",
        "Leave not_after out, or set it later.",
    ),
    "possession_not_proven": (
        "The proof is another key's signature, or one of another text.",
        (
            "Sign the possession statement with the new private key: its lines end in line feeds, the"
            " last has none."
        ),
    ),
    "key_id_taken": (
        "A key of that id is registered, and is not the same one.",
        "Choose another id; a date in it helps.",
    ),
    "too_many_keys": (
        "As many keys are active as a partner may have.",
        "Revoke those that nothing signs with any more.",
    ),
    "key_not_found": (
        "The id is misspelled, or the key is not yours.",
        "GET /v1/keys lists your keys.",
    ),
    # limits
    "rate_limited": (
        (
            "More requests came under this key, or more that were refused from this address, than the"
            " limit allows."
        ),
        (
            "Wait as long as Retry-After says, then go on more slowly; a reference that was not answered"
            " may be sent again."
        ),
    ),
    "cards_limited": (
        "Many cards that do not exist were named under this key, as somebody does who guesses numbers.",
        "Wait as long as Retry-After says; find the till whose reader misreads, or the program that guesses.",
    ),
    # refusals of the rules
    "reference_reused": (
        "Two different requests carry the same reference.",
        "Give every new request a reference of its own; send the same one only for the same content.",
    ),
    "above_offline_floor": (
        "A till accepted more points without a line than the contract lets it; you bear them all.",
        "Set the tills' own limit to that of the contract, or agree on a higher one with the operator.",
    ),
    "insufficient_points": (
        "The member has fewer points that can be spent today; pending ones do not count.",
        "Ask for the balance, and redeem less.",
    ),
    "card_unknown": (
        "The number is no card of this network.",
        "Have the card read again, or enrol the member.",
    ),
    "code_mistyped": (
        "A symbol was misread, two were swapped, or some are missing.",
        "Ask for the code again; this was not counted as a guess.",
    ),
    "codes_unavailable": ("The server was started without the operators' key.", _ASK_OPERATOR),
    "voucher_kind_unknown": (
        "The name is misspelled, or the programme in force has no such voucher any more.",
        _ASK_OPERATOR,
    ),
    "not_in_whole_steps": (
        "The programme turns points into vouchers in steps: of 150, say, 150, 300, 450.",
        "Ask for a whole number of steps.",
    ),
    "voucher_unknown": (
        "The code has the right form, and was never given: it may be forged.",
        "Do not take it. Many such codes in a short time are answered 429.",
    ),
    "voucher_used": (
        "It has paid for a basket before, here or at another till.",
        "Do not take it; your own use of it you find under its reference.",
    ),
    "voucher_returned": (
        "The member had its points given back.",
        "Do not take it; the member can redeem the points themselves.",
    ),
    "voucher_lapsed": ("The last day that is printed on it has passed.", "Do not take it."),
    "voucher_not_yet": (
        "The first day that is printed on it has not come.",
        "Take it from that day on, under a new reference.",
    ),
    "voucher_not_taken_here": (
        "The programme names the partners that take it, and you are none of them.",
        "Send the member to one of them.",
    ),
    "voucher_in_another_currency": (
        "It is worth an amount of another currency.",
        "Send the member to a shop that sells in it.",
    ),
    "basket_too_small": (
        "The voucher has a minimum, and no change is given.",
        "Try again, under a new reference, with a larger basket.",
    ),
    "voucher_not_over": (
        "The voucher may still be used, or has ended.",
        "Nothing: the night ends vouchers whose day is over.",
    ),
    "nothing_to_convert": ("The member has fewer points than the minimum.", "Nothing: the points stay."),
    "pack_unknown": (
        "The code has the right form, and is on no pack: it may be forged.",
        "Have it read again. Many such codes in a short time are answered 429.",
    ),
    "pack_not_open": ("The campaign has not begun, or is over.", "Tell the member its days."),
    "pack_used": (
        "This member, or another, has registered it before.",
        "Tell the member; a code earns once.",
    ),
    "pack_earns_nothing": (
        "No rule is for this pack at your shop, on that day or by that channel, or the member's cap is full.",
        "The code is not used up: try again later, under a new reference.",
    ),
    "card_blocked": ("The card was lost, replaced or blocked.", "Take another card of the member."),
    "code_needed": (
        "The printed number was sent alone, and the programme asks for more above a number of points.",
        "Send a code, a pin or an approval with it, under a new reference.",
    ),
    "code_stale": (
        "The QR was read from an old picture, or the phone's clock is off.",
        "Have the QR on the member's phone read again.",
    ),
    "code_used": (
        "The same code came with another request; each is good for one.",
        "Wait until the QR changes, and read it again. A request that was lost may come again as it was.",
    ),
    "passkey_refused": (
        "It was removed, its user was not verified, or the challenge is used or older than five minutes.",
        "Ask for a new challenge and try again; or sign in by a code.",
    ),
    "passkey_unknown": ("It was removed before, or never there.", "List the passkeys."),
    "pin_refused": (
        "The PIN was mistyped, or the member has set none.",
        "Let the member type it again under the same reference, or have the QR on its phone read.",
    ),
    "proof_locked": (
        "Somebody sent wrong codes or PINs for this member, five in a row; the pause begins at a minute.",
        "Ask the member on its phone (POST /v1/approvals); or wait. A new PIN ends the pause.",
    ),
    "approval_needed": (
        "The programme lets so many points go only where the member agrees on its phone.",
        "POST /v1/approvals, and send the sale under a new reference with approval.",
    ),
    "approval_unknown": (
        "The id is misspelled, or another partner's.",
        "Send the id that POST /v1/approvals answered.",
    ),
    "approval_not_given": (
        "The member has not answered, refused, or was asked for another card or points; or time is over.",
        "GET /v1/approvals/{id} tells how it stands; ask anew where it is over.",
    ),
    "approval_used": (
        "It came with another request; each is good for one.",
        "Ask anew. A request that was lost may come again as it was.",
    ),
    "approval_over": ("The answer came twice, or after five minutes.", "Let the till ask again."),
    "approval_unavailable": (
        "The member never gave an address to sign in by.",
        "Take fewer points; or name its address (POST /v1/member-logins) if you enrolled it.",
    ),
    "too_many_approvals": (
        "Three questions of yours are open on the member's phone.",
        "Wait until they are answered, or five minutes.",
    ),
    "spending_locked": (
        "The member locked its cards: they earn, and pay for nothing.",
        "The member unlocks them where it signs in.",
    ),
    "outlet_unknown": (
        "The outlet's code is not registered for you, or was a moment ago and is not read yet.",
        "Check the code; a new outlet is known after five seconds.",
    ),
    "no_contract_terms": ("Your contract has no version for the day of occurred_at.", _ASK_OPERATOR),
    "currency_not_contracted": (
        "The amount is in a currency that your contract does not name.",
        "Send the contract's currency.",
    ),
    "category_unknown": (
        "The category's code is misspelled.",
        "Leave it out, or take one that the operator names.",
    ),
    "partner_not_active": ("You are suspended, or have left the network.", _ASK_OPERATOR),
    "partner_issues_no_more": (
        "Your exit was agreed, and its last day to give points is over.",
        "Earn no more.",
    ),
    "partner_accepts_no_more": (
        "Your exit was agreed, and its last day to take points is over.",
        "Redeem no more.",
    ),
    "partner_unknown": ("Your set-up is a few seconds old.", "Send the same request again."),
    "retried_unknown": (
        "`retries` names a reference that never reached us, or is of long ago.",
        "Send the sale under that reference first, or leave `retries` out.",
    ),
    "retried_accepted": (
        "`retries` names a request that was not refused.",
        "Do not send it again: send that request itself to see its answer.",
    ),
    "already_retried": (
        "Another request named the same refused one, and was accepted.",
        "Do not send it again; find its entry by the other reference.",
    ),
    "cap_reached": (
        "Points, or money that you take, would bring you over what your contract lets you owe: cap, deposit.",
        "Sell without points, and try again later under a new reference; pay in, or ask for a higher cap.",
    ),
    "too_many_points": (
        "The amount comes to more than 10^12 points.",
        "Check the amount: it is in minor units.",
    ),
    "occurred_in_future": ("The till's clock is ahead.", "Set the till's clock; ten minutes are tolerated."),
    "occurred_too_long_ago": ("The sale is older than thirty days.", _ASK_OPERATOR),
    "entry_unknown": (
        (
            "The id is misspelled, or the entry is another partner's and the contracts do not let you"
            " take it back."
        ),
        "Take the id from the answer, or from the receipt.",
    ),
    "entry_not_reversible": (
        "The entry is a hold, a reversal or the like.",
        "Void a hold; reverse the sale or the reward itself.",
    ),
    "entry_already_reversed": ("All of it has come back.", _LOOK_AT_ENTRY),
    "more_than_is_left": (
        "Earlier reversals took part of it.",
        "Reverse what is left, or leave the measure out for all of it.",
    ),
    "sales_are_reversed_by_amount": ("points was sent for a sale.", "Send amount_minor, lines, or neither."),
    "rewards_are_reversed_by_points": (
        "amount_minor was sent for a reward.",
        "Send points, lines, or neither.",
    ),
    "lines_do_not_add_up": (
        "The lines' sum is not the whole.",
        "Send all lines, discounts already taken off.",
    ),
    "one_measure_only": ("Two of lines, amount_minor and points were sent.", "Send one of them."),
    "entry_has_no_lines": ("The sale was sent without lines.", "Say amount_minor or points."),
    "line_unknown": (
        "The number is beyond the entry's lines.",
        "Count lines from 1, in the order they were sent.",
    ),
    "line_already_returned": ("The line came back before, or is named twice.", "Leave it out."),
    "returned_by_lines": ("amount_minor or points was sent for an entry with lines.", "Name the lines."),
    "nothing_pending": ("The points were released before, or never waited for an event.", _LOOK_AT_ENTRY),
    "hold_unknown": (
        "The id is misspelled, or the hold is another partner's.",
        "Take the id from the hold's answer.",
    ),
    "hold_lapsed": ("The hold's minutes were over before the capture came.", "Redeem the points anew."),
    "hold_closed": ("All of it was captured or voided.", "Redeem the points anew."),
    "more_than_held": ("Earlier captures took part of it.", "Capture what is left, and redeem the rest."),
    "points_already_spent": (
        "The programme takes no sale back whose points are gone.",
        "Settle the return with the member in money.",
    ),
    "recipient_unknown": ("The other card's number is no card of this network.", "Have it read again."),
    "recipient_blocked": (
        "The other card was lost, replaced or blocked.",
        "Take another card of that member.",
    ),
    "same_member": ("Both cards open the same account.", "Name two members."),
    "programme_not_read": ("A new programme is being read.", _SAME_AGAIN),
    "too_many_holds": ("Holds were neither captured nor voided.", "Void those that are not needed any more."),
    "cause_unknown": ("The code is misspelled, or the cause takes no donations that day.", _ASK_OPERATOR),
    "cause_not_found": ("The code is misspelled, or it is no cause's.", "Look at /causes for all of them."),
    "pledge_unknown": (
        "The id is misspelled, or the programme of today has no pledge of it.",
        "Take the id from the programme's file.",
    ),
    "pledge_share_unknown": (
        "The member may choose from the shares that the programme names.",
        "Offer the member those.",
    ),
    "plan_unknown": ("The id is misspelled, or the programme of today has no such plan.", _ASK_OPERATOR),
    "plan_not_sold_here": ("The programme names who sells it.", "Send the member to a partner that does."),
    "plan_price_differs": ("The price is the programme's.", "Take the price that the programme names."),
    "plan_not_honoured": ("It is suspended, or has left.", _ASK_OPERATOR),
    "plan_already_renewed": ("One period ahead is the most.", "Renew it again in its next period."),
    "plan_over": ("Its last day has passed, or it was given up.", "Nothing is to be paid back."),
    "account_has_plan": (
        "What was paid for one account is not the other's.",
        "End the plan, or wait until it is over; then merge.",
    ),
    "stored_value_not_offered": ("The programme of today has none, or another currency.", _ASK_OPERATOR),
    "stored_value_not_here": (
        "The programme names who takes money and who honours value.",
        "Send the member to a partner that does.",
    ),
    "load_out_of_range": ("The programme names the least and the most.", "Load an amount between them."),
    "stored_value_full": (
        "What the member has, this load, and what is on top of it are more than the programme allows.",
        "Load less.",
    ),
    "insufficient_value": (
        "Less is there than is to be spent.",
        "Look at `stored_value` of the balance; let it pay for a part of the sale.",
    ),
    "not_refundable": (
        "The programme says what is paid back, and until when.",
        "Look at `refundable_minor` of the balance.",
    ),
    "loads_are_reversed_whole": ("A part was asked for.", "Leave the amount out, or refund a part."),
    "value_already_spent": (
        "A load that was a mistake can be undone only while nothing of it is spent.",
        "Refund what is left.",
    ),
    "account_has_value": (
        "Money does not move between accounts.",
        "Let the member spend it, or pay it back; then merge.",
    ),
    "cause_not_active": ("The cause is suspended, or has left.", "Name another cause."),
    "already_in_pool": ("A member is in one pool at a time.", "Let the member leave the other pool first."),
    "invitation_unknown": (
        "The id is misspelled, or another member was invited.",
        "Take the id from the invitation's answer.",
    ),
    "invitation_lapsed": ("It was used or is older than fourteen days.", "Invite the member again."),
    "pool_full": ("Eight members are the most.", "Found another pool, or let somebody leave."),
    "not_in_pool": ("The member left before.", "Nothing is to be done."),
    "account_in_pool": ("Who is merged would leave others in the pool.", "Send a pool leave for it first."),
    "account_has_merged": ("Others were merged into it.", "Undo those merges, latest first, then merge."),
    "not_a_merge": ("The id is another entry's.", "Take the id from the merge's answer."),
    "already_unmerged": ("It was undone before, or the member was merged anew.", _LOOK_AT_ENTRY),
    "tier_unknown": (
        "The tier's name is misspelled, or the programme dropped it.",
        "Look at the programme's tiers.",
    ),
    "flight_already_credited": (
        "The sector of that day was reported, or claimed, before.",
        "Look at the member's entries of that day.",
    ),
    "birth_date_needed": (
        "The programme has a minimum age.",
        "Send born_on. Only the day from which a child acts for itself is kept.",
    ),
    "too_young": (
        "The child is younger than the programme lets children be members, with a guardian or without.",
        "Enrol it when it is old enough.",
    ),
    "guardian_needed": (
        "A child is to be enrolled, or its points are to be spent, given away or put into a pool.",
        "Have the guardian show its own card, and send that as guardian, under a new reference.",
    ),
    "guardian_unfit": (
        "The card that was shown is not that of the child's guardian, or cannot be used.",
        "Have the guardian's own card shown.",
    ),
    "account_of_child": (
        "One of the two cards is a child's.",
        "Wait until it acts for itself.",
    ),
    "taken_for_abuse": (
        "Too many sales, returns or gifts in a time, gifts in a circle, or staff at its own till.",
        "The operator sees what was found. Ask it, if the member disagrees.",
    ),
    "held_for_review": (
        "A rule against abuse holds what the sale earned.",
        _ASK_OPERATOR,
    ),
    "not_held": (
        "Its partner has not said yet that the event has come, or nothing was ever held.",
        "Leave it to the partner: POST /v1/releases.",
    ),
    "reward_unknown": (
        "The reward's id is misspelled, or a newer programme dropped it.",
        "Ask for a quote: it lists the rewards that are to be had.",
    ),
    "reward_not_here": (
        "Another partner honours the reward.",
        "Send the member there, or offer one of your own: a quote lists them.",
    ),
    "reward_not_now": (
        "Its first day has not come, or its last has passed.",
        "Ask for a quote: it lists what is to be had now.",
    ),
    "reward_of_other_tier": (
        "The programme keeps it for some tiers, and the member is in none of them.",
        "Offer another: a quote lists what this member can have.",
    ),
    "reward_price_differs": (
        (
            "An old price, points that are no whole steps, an amount that is not what they take off, or a"
            " flight of another distance or cabin."
        ),
        "Ask for a quote, and send one of the prices that it says.",
    ),
    "reward_sold_out": (
        "Others were faster.",
        "Offer another. What is returned in full is there again.",
    ),
    "award_unknown": (
        "Its name is misspelled, the programme has changed, or only other partners may give it.",
        "Compare the name with the programme, or ask the network's operator.",
    ),
    "award_by_case": (
        "An award that makes good was sent without `case`, or with points or staff.",
        "Send card, award and case; how many points it is the programme says.",
    ),
    "award_by_staff": (
        "A surprise was sent without points, staff or reason, or with a case.",
        "Say how many points, who gives them, and why: it stays on record.",
    ),
    "award_too_large": (
        "One surprise is for more points than the programme allows for one.",
        "Give less.",
    ),
    "award_budget_spent": (
        "Who gives, or all staff together, have given what the period allows.",
        "Give less, or wait for the next period.",
    ),
    "already_awarded": (
        "The same case was made good before, under another reference.",
        "Nothing is to be done: the member has the points.",
    ),
    "already_referred": (
        "A member has one referrer, and it was said before.",
        "Nothing can be done: the first referral counts.",
    ),
    "referrer_came_later": (
        "The cards were sent the wrong way round, or two members wanted to refer each other.",
        "`card` is the new member's, `referrer_card` that of who was there before.",
    ),
    "match_unknown": (
        "The id is wrong, or other partners play this game.",
        "GET /v1/matches says on which matches members may stake at your tills.",
    ),
    "match_closed": (
        "The time for stakes is over, or the match was decided or called off.",
        "Nothing can be done: the network's clock closes a match, not yours.",
    ),
    "outcome_unknown": (
        "The outcome is misspelled.",
        "Send one of the match's `outcomes`, letter by letter.",
    ),
    "too_many_stakes": (
        "The game says how many stakes a member may have on one match.",
        "Stake less, or on another match.",
    ),
    "fact_unfit": (
        "A birthday that is no day of the calendar, or not written as 2000-02-29.",
        "Correct the fact and send it again.",
    ),
    "tier_not_over": ("The tier's last day has not passed.", "Wait for the night after it."),
    "entry_moves_no_points": ("A sale that earned nothing, say.", "Nothing is to be proven."),
    "not_sealed_yet": (
        "The night of the entry's business date has not been settled and sealed.",
        "Ask again the day after.",
    ),
    "code_refused": (
        "Mistyped, older than ten minutes, tried five times; or nobody signs in by that address.",
        "Ask for a new code a minute after the last.",
    ),
    "member_token_missing": ("Authorization: Bearer … is missing.", "Sign in, then send the access token."),
    "member_token_refused": ("Ten minutes are over, or the session ended.", "Refresh it, or sign in again."),
    "member_unknown": ("The id is misspelled.", "Take it from the answer to an enrolment or of a card."),
    # ours
    "overloaded": ("More is under way than this server carries out at a time.", _SAME_AGAIN),
    "unavailable": ("The database or a lane is being started again.", _SAME_AGAIN),
    "internal_error": (
        "A fault of ours; it is in our log under request_id.",
        "Send the same request again; if it stays, tell the operator the request_id.",
    ),
    # disputes
    "dispute_unknown": (
        "The id is misspelled, or the dispute is between others.",
        "GET /v1/disputes lists yours.",
    ),
    "evidence_unknown": ("No file of that hash is attached.", "The dispute lists its files."),
    "dispute_line_unknown": (
        "The entry or date has no line between you two.",
        "Look at the statement of that date.",
    ),
    "dispute_not_yet": ("The night of that date is not settled.", "Wait for the statement."),
    "dispute_nothing_paid": ("The line is in your favour, or came to nothing.", "Nothing is to be disputed."),
    "dispute_line_mixed": ("Terms changed within the line.", "Name the entries one by one."),
    "dispute_line_disputed": (
        "A dispute of the line is open or was decided.",
        "Look it up; a line is disputed once.",
    ),
    "dispute_too_much": ("The amount is more than the line.", "Send no more than you paid."),
    "dispute_too_late": ("The contract's days for it are over.", _ASK_OPERATOR),
    "dispute_over": ("It was accepted, decided, or left.", "Nothing is to be done."),
    "dispute_not_so": ("It is in another state than this needs.", "Look the dispute up."),
    "dispute_not_yours": ("It is the other partner's turn, or the operator's.", "Wait for its answer."),
    "dispute_not_due": ("The other partner still has time to answer.", "Wait until answer_until."),
    "dispute_award_too_large": ("More is awarded than was asked.", "Award no more than is disputed."),
    "evidence_unfit": (
        "The bytes are not of the kind that Content-Type names.",
        "Send a PDF, JPEG, PNG, CSV or text file.",
    ),
    "evidence_too_many": ("The dispute has as many files as it may.", "Send one file that holds the rest."),
    # files
    "malformed_csv": (
        "More or fewer cells than columns, a quote in the wrong place, or bytes that are not UTF-8.",
        "Write the file with a CSV library, with commas, in UTF-8; send the lines that were refused again.",
    ),
    "malformed_gzip": (
        "Content-Encoding says gzip, and the body is none, or is cut off.",
        "Pack the file whole, or send it as it is without Content-Encoding.",
    ),
    "upload_stalled": ("Nothing came for half a minute.", "Send the file again; nothing of it was kept."),
    "batch_unknown": (
        "The id is misspelled, or the file is another partner's, or older than 400 days.",
        "Send the file again: if it was received before, the answer names it.",
    ),
    "batch_not_done": (
        "Lines of the file wait, or are being carried out.",
        "Ask again after Retry-After seconds, or with wait=30.",
    ),
    "batch_expired": (
        "More than a month has passed since the file was done.",
        "Send it under another Idempotency-Key: its lines are answered from memory.",
    ),
    "file_unreadable": (
        "The file is empty, or the first line of a CSV file does not name its columns.",
        "Look at detail; the columns are named as the fields of single requests.",
    ),
    "files_waiting": (
        "A hundred files of yours are not carried out yet.",
        "Send the file again after Retry-After seconds; fewer and larger files are better.",
    ),
    "storage_full": (
        "The disk of the server or of its database is full.",
        "Send the file again after Retry-After seconds; nothing of it was kept.",
    ),
    # operators
    "sign_in_refused": (
        "Which of the three is wrong is not told.",
        "Try again; after five wrong ones a wait begins.",
    ),
    "too_many_tries": ("Five wrong tries in a row.", "Wait as long as Retry-After says."),
    "token_missing": ("Authorization: Bearer … is missing.", "Sign in, then send the access token."),
    "token_refused": (
        "Ten minutes are over, or the session ended.",
        "Refresh the session, or sign in again.",
    ),
    "not_allowed": ("The operator has another role.", "Let somebody with that role do it."),
    "operators_only": (
        "A partner's signature came to an operators' address.",
        "Use the addresses below /v1.",
    ),
    "cross_site": (
        "A browser marked the request as another site's.",
        "Send it from our own pages, or from a program.",
    ),
    "operator_unknown": ("The login is misspelled.", "GET /operator/operators lists all."),
    "operator_known": ("The login is taken.", "Choose another."),
    "name_invalid": ("A login has small letters, digits, dots and dashes.", "Choose such a one."),
    "password_unfit": ("Too short, or among the easy ones.", "Take twelve characters or more."),
    "proposal_unknown": ("The id is misspelled.", "GET /operator/proposals lists all."),
    "proposal_open": ("Somebody proposed it before.", "Decide that one."),
    "proposal_decided": ("Somebody decided it before.", "Look at it; propose it again if need be."),
    "proposal_changed": (
        "The hash is another's, or what it is about changed since.",
        "Look again, and propose it again.",
    ),
    "second_person_needed": ("Whoever prepared it cannot approve it.", "Let another decide."),
    "not_now": (
        "It is so already, or something else has to come first; the detail says what.",
        "Look how things are.",
    ),
    "adjustment_unknown": ("The id is misspelled.", "GET /operator/adjustments lists all."),
    "adjustment_invalid": ("The detail says which field.", "Correct it, and prepare it again."),
    "report_unknown": ("There is no such date, partner or form.", "Compare with the description."),
    "draft_unknown": ("The id is misspelled, or the draft was decided.", "List the drafts."),
    "terms_unfit": ("The detail names each fault.", "Correct it, and draft it again."),
    "partner_not_found": ("The code is misspelled.", "GET /operator/partners lists all."),
    "key_not_accepted": (
        "Point, proof, interval or id; the detail says which.",
        "Let the partner send a new key and proof.",
    ),
    "run_not_ready": ("Another step has to come first, or came already.", "Look at the night's state."),
    "not_final": (
        "Something does not add up, or an objection stands.",
        "The detail names what; mend it first.",
    ),
    "payment_refused": (
        "Amount, currency or participant do not fit the night.",
        "Compare with the instruction.",
    ),
    "nothing_missing": ("The participant has paid.", "Nothing is to be done."),
    "cannot_unwind": ("Later nights stand on this one.", "Cover it by deposit and guarantee instead."),
    "case_unknown": ("The id is misspelled.", "List the cases."),
    "exit_refused": ("Notice, last days or debts do not fit; the detail says which.", "Correct the plan."),
    "correction_refused": ("A party, amount, night or day that cannot be.", "The detail says which."),
    "night_unknown": ("No window was opened for that date.", "Look at the list of nights."),
    "bank_account_invalid": (
        "A check digit, the name or the evidence.",
        "The detail says which; correct it.",
    ),
    "bank_file_unknown": ("The message id is misspelled.", "List the pay-out files."),
    "statement_refused": (
        "A balance or a sequence does not fit; the detail says which.",
        "Get the file from the bank again.",
    ),
    "way_out_closed": ("The exception's kind has other ways out.", "The detail names them."),
    # webhooks
    "endpoint_unknown": (
        "The id is mistyped, another partner's, or of an endpoint that was deleted.",
        "List yours: GET /v1/webhook-endpoints.",
    ),
    "event_unknown": (
        "The id is mistyped, another partner's, or the event is older than thirty days.",
        "List yours: GET /v1/events.",
    ),
    "webhook_address": (
        "The URL is not https, names a port or user, or leads to an address that is not public.",
        "Give https://host/path with a public name, on port 443 or 8443.",
    ),
    "event_type_unknown": (
        "A type is misspelled, or of a newer version.",
        "Choose from the list in docs/webhooks.md; `entry.*` is all of a family, `*` is everything.",
    ),
    "too_many_endpoints": (
        "Endpoints that are no longer used were not deleted.",
        "Delete one: DELETE /v1/webhook-endpoints/{endpoint}.",
    ),
    "endpoint_disabled": (
        "It answered 410, or nothing got through on the whole schedule of a delivery.",
        "Mend it, then POST /v1/webhook-endpoints/{endpoint}/enablement.",
    ),
}
