//! The three steps of a rotation as changes of a file's text: comments and what is not concerned stay as they are.

use std::num::NonZeroU8;

use thiserror::Error;

use super::{KeyId, Keys, KeysError, METHOD, random_key};

/// Why a file is not changed.
#[derive(Debug, Error)]
pub enum EditError {
    /// It is not right as it is.
    #[error(transparent)]
    Text(#[from] KeysError),
    /// All ids are taken.
    #[error("there are keys of all ids from 1 to 255: take out those that nobody signs with")]
    Full,
    /// It has no such key.
    #[error("there is no key {id} in it; there is: {}", list(there))]
    NoSuchKey {
        /// That one.
        id: KeyId,
        /// The ids that it has.
        there: Vec<KeyId>,
    },
    /// The key to be taken out signs.
    #[error("key {id} signs: make another one sign first")]
    Signs {
        /// That one.
        id: KeyId,
    },
    /// No new key can be made.
    #[error("the kernel has no random numbers: {0}")]
    Random(#[from] getrandom::Error),
}

fn list(ids: &[KeyId]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl Keys {
    /// The text with a random key more, which does not sign yet, and its id: the one after the highest, or the lowest
    /// that is free.
    ///
    /// # Errors
    /// If the text is not right, or no key can be added.
    pub fn with_new_key(text: &str) -> Result<(String, KeyId), EditError> {
        let keys = Self::parse(text)?;
        let taken = |id: &KeyId| keys.all.contains_key(id);
        let after = keys.ids().last().and_then(|highest| highest.0.checked_add(1)).map(KeyId);
        let mut free = (1..=u8::MAX).filter_map(NonZeroU8::new).map(KeyId).filter(|id| !taken(id));
        let id = after.or_else(|| free.next()).ok_or(EditError::Full)?;
        let end = if text.ends_with('\n') { "" } else { "\n" };
        let text = format!("{text}{end}{id} {METHOD} {}\n", random_key()?);
        Self::parse(&text)?;
        Ok((text, id))
    }

    /// The text with this key signing.
    ///
    /// # Errors
    /// If the text is not right, or has no such key.
    pub fn with_signing(text: &str, id: KeyId) -> Result<String, EditError> {
        Self::parse(text)?.must_have(id)?;
        let text = rewritten(text, |line| match words(line).as_slice() {
            ["auth", _] => {
                let comment = line.find('#').and_then(|at| line.get(at..));
                let comment = comment.map_or_else(String::new, |comment| format!(" {comment}"));
                Some(format!("auth {id}{comment}"))
            }
            _ => Some(line.to_owned()),
        });
        Self::parse(&text)?;
        Ok(text)
    }

    /// The text without this key.
    ///
    /// # Errors
    /// If the text is not right, has no such key, or it signs.
    pub fn without(text: &str, id: KeyId) -> Result<String, EditError> {
        let keys = Self::parse(text)?;
        keys.must_have(id)?;
        if keys.sending_id == id {
            return Err(EditError::Signs { id });
        }
        let text = rewritten(text, |line| match words(line).as_slice() {
            [word, METHOD, _] if word.parse() == Ok(id) => None,
            _ => Some(line.to_owned()),
        });
        Self::parse(&text)?;
        Ok(text)
    }

    fn must_have(&self, id: KeyId) -> Result<(), EditError> {
        if self.all.contains_key(&id) {
            return Ok(());
        }
        Err(EditError::NoSuchKey { id, there: self.ids().collect() })
    }
}

/// What a line says, as `Keys::parse` reads it.
fn words(line: &str) -> Vec<&str> {
    line.split('#').next().unwrap_or_default().split_whitespace().collect()
}

fn rewritten(text: &str, change: impl Fn(&str) -> Option<String>) -> String {
    text.lines().filter_map(change).map(|line| line + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(id: &str) -> KeyId {
        id.parse().unwrap()
    }

    fn ids(text: &str) -> (KeyId, Vec<KeyId>) {
        let keys = Keys::parse(text).unwrap();
        (keys.sending_id(), keys.ids().collect())
    }

    #[test]
    fn a_rotation_in_three_steps_keeps_everything_else() {
        let first = Keys::generate().unwrap().replace("auth 1", "auth 1  # the old one");
        let (both, new) = Keys::with_new_key(first.trim_end()).unwrap();
        assert_eq!(new, id("2"));
        assert!(both.starts_with(&first), "{both}");
        assert_eq!(ids(&both), (id("1"), vec![id("1"), id("2")]));
        assert!(matches!(Keys::without(&both, id("1")), Err(EditError::Signs { .. })));
        let flipped = Keys::with_signing(&both, new).unwrap();
        assert_eq!(flipped, both.replace("auth 1  # the", "auth 2 # the"));
        let last = Keys::without(&flipped, id("1")).unwrap();
        assert_eq!(ids(&last), (new, vec![new]));
        assert_eq!(last.lines().count(), flipped.lines().count() - 1);
        let missing = Keys::with_signing(&last, id("1")).unwrap_err();
        assert_eq!(missing.to_string(), "there is no key 1 in it; there is: 2");
    }

    #[test]
    fn ids_run_out_only_when_all_are_taken() {
        let key = Keys::generate().unwrap();
        let key = key.lines().last().unwrap().trim_start_matches("1 ").to_owned();
        let (text, new) = Keys::with_new_key(&format!("auth 255\n255 {key}\n1 {key}\n")).unwrap();
        assert_eq!((new, ids(&text).1.len()), (id("2"), 3));
        let full: String = (1..=255).map(|id| format!("{id} {key}\n")).collect();
        assert!(matches!(Keys::with_new_key(&format!("auth 1\n{full}")), Err(EditError::Full)));
    }

    #[test]
    fn a_text_that_is_not_right_is_not_made_worse() {
        assert!(matches!(Keys::with_new_key("auth 1\n"), Err(EditError::Text(_))));
        assert!(matches!(Keys::with_signing("", id("1")), Err(EditError::Text(_))));
        assert!(matches!(Keys::without("1 crc\n", id("1")), Err(EditError::Text(_))));
    }
}
