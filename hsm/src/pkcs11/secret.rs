//! Secret keys: AES-256 in the token, for what the daemon keeps and must not be able to read while the
//! token is closed.

use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::types::Ulong;
use zeroize::Zeroizing;

use super::key::{Objects, named};
use super::session::Lease;
use super::{ErrorClass, Token, TokenError};

/// Octets of an initialization vector (NIST SP 800-38D section 5.2.1.1 asks for 96 bits).
pub(crate) const IV: usize = 12;

/// Bits of the authentication tag.
const TAG: Ulong = Ulong::new(128);

/// Octets of AES-256.
const KEY: Ulong = Ulong::new(32);

impl Token {
    /// Whether there is a secret key with this label. One that could leave the token is an error.
    pub(crate) fn has_secret(&self, label: &str) -> Result<bool, TokenError> {
        self.recovering(|lease| Ok(self.secret(lease, label)?.is_some()))
    }

    /// Makes an AES-256 key in the token: sensitive, not extractable, encrypts and decrypts only. Reads
    /// the attributes back and refuses what differs. Fails if the label is taken.
    pub(crate) fn generate_secret(&self, label: &str) -> Result<(), TokenError> {
        self.with_writing(|objects| objects.generate_secret(label))
    }

    /// AES-GCM (NIST SP 800-38D) with an initialization vector that was never used with this key: the
    /// ciphertext and, behind it, the tag.
    pub(crate) fn encrypt(&self, label: &str, iv: &[u8; IV], aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, TokenError> {
        self.recovering(|lease| {
            let key = self.known_secret(lease, label)?;
            let mut iv = *iv;
            self.sessions.module().call("C_Encrypt", |_| {
                let mechanism = Mechanism::AesGcm(GcmParams::new(&mut iv, aad, TAG)?);
                lease.session().encrypt(&mechanism, key, plain)
            })
        })
    }

    /// The way back; `None` when the tag does not fit key, vector, additional data and ciphertext.
    pub(crate) fn decrypt(
        &self,
        label: &str,
        iv: &[u8; IV],
        aad: &[u8],
        boxed: &[u8],
    ) -> Result<Option<Zeroizing<Vec<u8>>>, TokenError> {
        let opened = self.recovering(|lease| {
            let key = self.known_secret(lease, label)?;
            let mut iv = *iv;
            self.sessions.module().call("C_Decrypt", |_| {
                let mechanism = Mechanism::AesGcm(GcmParams::new(&mut iv, aad, TAG)?);
                lease.session().decrypt(&mechanism, key, boxed)
            })
        });
        match opened {
            Ok(plain) => Ok(Some(Zeroizing::new(plain))),
            // SoftHSM has CKR_GENERAL_ERROR for a tag that does not fit, which elsewhere means that the
            // module is beyond help. A key that encrypts is well; then it was the box.
            Err(error) if error.function == "C_Decrypt" && error.class != ErrorClass::Transient => {
                self.encrypt(label, iv, aad, &[]).map(|_| None).map_err(|_| error)
            }
            Err(error) => Err(error),
        }
    }

    fn known_secret(&self, lease: &Lease<'_>, label: &str) -> Result<ObjectHandle, TokenError> {
        self.secret(lease, label)?.ok_or_else(|| {
            let what = format!("the token has no secret key labelled `{label}`: restore the token from its backup");
            TokenError::new("C_FindObjects", ErrorClass::Permanent, what)
        })
    }

    fn secret(&self, lease: &Lease<'_>, label: &str) -> Result<Option<ObjectHandle>, TokenError> {
        if let Some(handle) = lease.handle(label) {
            return Ok(Some(handle));
        }
        let found = self.objects(lease).secret(label)?;
        if let Some(handle) = found {
            lease.remember(label, handle);
        }
        Ok(found)
    }
}

impl Objects<'_> {
    /// The secret key labelled `label`, judged; `None` when there is none.
    fn secret(&self, label: &str) -> Result<Option<ObjectHandle>, TokenError> {
        match self.find(ObjectClass::SECRET_KEY, Attribute::Label(label.as_bytes().to_vec()))?.as_slice() {
            [] => Ok(None),
            [key] => self.judge_secret(label, *key).map(|()| Some(*key)),
            many => {
                let what = format!("{} secret keys are labelled `{label}`: rename or remove all but one", many.len());
                Err(TokenError::new("C_FindObjects", ErrorClass::Operator, what))
            }
        }
    }

    fn generate_secret(&self, label: &str) -> Result<(), TokenError> {
        if self.secret(label)?.is_some() {
            let what = format!("a key labelled `{label}` exists: nothing was changed");
            return Err(TokenError::new("C_GenerateKey", ErrorClass::Operator, what));
        }
        let mut template = vec![
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::ValueLen(KEY),
            Attribute::Encrypt(true),
            Attribute::Decrypt(true),
            Attribute::Sign(false),
            Attribute::Verify(false),
            Attribute::Wrap(false),
            Attribute::Unwrap(false),
            Attribute::Derive(false),
        ];
        template.extend(named(label));
        let key = self.module.call("C_GenerateKey", |_| self.session.generate_key(&Mechanism::AesKeyGen, &template))?;
        self.judge_secret(label, key).inspect_err(|_| {
            // A key that is not what was asked for must not be found by the next run.
            if let Err(left) = self.module.call("C_DestroyObject", |_| self.session.destroy_object(key)) {
                tracing::warn!(label, %left, "a refused key was left in the token");
            }
        })
    }

    /// Refuses a secret key that could leave the token, or does more or less than it is for.
    fn judge_secret(&self, label: &str, key: ObjectHandle) -> Result<(), TokenError> {
        const ASKED: [AttributeType; 7] = [
            AttributeType::Sensitive,
            AttributeType::Extractable,
            AttributeType::Encrypt,
            AttributeType::Decrypt,
            AttributeType::Wrap,
            AttributeType::Unwrap,
            AttributeType::Derive,
        ];
        let has = self.attributes(key, &ASKED)?;
        let wanted = [
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Encrypt(true),
            Attribute::Decrypt(true),
            Attribute::Wrap(false),
            Attribute::Unwrap(false),
            Attribute::Derive(false),
        ];
        match wanted.iter().find(|attribute| !has.contains(attribute)) {
            None => Ok(()),
            Some(lacking) => {
                let what = format!(
                    "the key `{label}` is not {lacking:?}, as one for secrets is: remove it, another is then made"
                );
                Err(TokenError::new("C_GetAttributeValue", ErrorClass::Operator, what))
            }
        }
    }
}
