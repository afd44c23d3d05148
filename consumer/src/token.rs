//! The token that the backend is shown. One that came from a file is read again when the backend refuses it: a token that was
//! changed on both sides needs no restart.

use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};

use anyhow::Context;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use service_runtime::config::{parse_token, read_secret_file};

pub(crate) struct Token {
    /// Marked as sensitive.
    header: RwLock<Option<HeaderValue>>,
    file: Option<PathBuf>,
}

impl Token {
    pub(crate) fn new(token: Option<&SecretString>, file: Option<PathBuf>) -> anyhow::Result<Token> {
        let header = token.map(authorization).transpose()?;
        Ok(Token { header: RwLock::new(header), file })
    }

    /// The value of the `Authorization` header.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        self.header.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// After a refusal: whether the file holds another token than `refused`, which is used from now on.
    pub(crate) fn read_again(&self, refused: Option<&HeaderValue>) -> bool {
        let Some(file) = &self.file else { return false };
        let read = read_secret_file(file)
            .and_then(|text| parse_token(&text).map_err(|error| error.to_string()))
            .and_then(|token| authorization(&token).map_err(|error| error.to_string()));
        match read {
            Ok(header) if Some(&header) != refused => {
                tracing::info!("the backend refused the token, and INGEST_TOKEN_FILE holds another one by now");
                *self.header.write().unwrap_or_else(PoisonError::into_inner) = Some(header);
                true
            }
            Ok(_) => false,
            Err(error) => {
                tracing::debug!(error, "INGEST_TOKEN_FILE could not be read again");
                false
            }
        }
    }
}

fn authorization(token: &SecretString) -> anyhow::Result<HeaderValue> {
    let value = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()));
    let mut value = value.context("put the token into a header")?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_token_is_replaced_by_another_one_in_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let token = Token::new(Some(&"old".into()), Some(file.clone())).unwrap();
        let shown = || token.header().unwrap().to_str().unwrap().to_owned();
        let is_replaced = || token.read_again(token.header().as_ref());
        assert!(!is_replaced(), "there is no file");
        for (content, replaced, expected) in [
            ("old\n", false, "Bearer old"),
            ("", false, "Bearer old"),
            ("two words", false, "Bearer old"),
            ("new\r\n", true, "Bearer new"),
            ("new", false, "Bearer new"),
        ] {
            std::fs::write(&file, content).unwrap();
            assert_eq!((is_replaced(), shown().as_str()), (replaced, expected), "{content:?}");
        }
        assert!(token.read_again(Some(&HeaderValue::from_static("Bearer old"))), "another request has read it already");
        assert!(!format!("{:?}", token.header()).contains("new"));
        assert!(!Token::new(Some(&"old".into()), None).unwrap().read_again(None), "it came from no file");
    }
}
