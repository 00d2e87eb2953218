//! A UUID as a key.
#![cfg(feature = "uuid")]

use tower_session_affinity::AffinityKey;
use uuid::Uuid;

#[test]
fn a_uuid_becomes_a_key_in_lowercase_hyphenated_form() {
    let rows = [
        (Uuid::nil(), "00000000-0000-0000-0000-000000000000"),
        (
            Uuid::from_u128(u128::MAX),
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
        ),
        (
            Uuid::from_u128(0x5F0E_9C1A_93D1_4A0E_8E8B_3F1A_5C2D_7B64),
            "5f0e9c1a-93d1-4a0e-8e8b-3f1a5c2d7b64",
        ),
    ];
    for (uuid, text) in rows {
        assert_eq!(AffinityKey::from(uuid).as_str(), text);
        assert_eq!(AffinityKey::from(uuid), text.parse().unwrap());
    }
}
