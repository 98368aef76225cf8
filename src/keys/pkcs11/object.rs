//! Keys as objects of a token: how they are found, read and made.

use chiron_tuf::{PublicKey, Scheme};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use super::Pkcs11Uri;
use super::driver::Fault;
use super::signature::{self, ED25519, ED25519_NAME, P256};

/// RSA, another curve.
const KIND: &str = "the key is of a kind that is not taken; Ed25519 and ECDSA on P-256 are";

/// A private key that was found.
pub struct Found {
    /// What the module calls it.
    pub handle: ObjectHandle,
    /// Each signature wants the PIN again.
    pub pin_each_time: bool,
    /// `CKA_LABEL`.
    pub label: Option<String>,
    /// `CKA_ID`.
    pub id: Option<Vec<u8>>,
    /// Its public half.
    pub public: PublicKey,
}

/// The one private key that `uri` names.
pub fn find(session: &Session, uri: &Pkcs11Uri) -> Result<Found, Fault> {
    if !uri.names_key() {
        return Err(Fault::NoKey(
            "the URI does not say which key: add object=LABEL or id=%01…".to_owned(),
        ));
    }
    let mut wanted = vec![Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Token(true)];
    wanted.extend(
        uri.object
            .iter()
            .map(|label| Attribute::Label(label.as_bytes().to_vec())),
    );
    wanted.extend(uri.id.iter().map(|id| Attribute::Id(id.clone())));
    let handle = match session.find_objects(&wanted)?.as_slice() {
        [handle] => *handle,
        [] => return Err(Fault::NoKey("the token has no such private key".to_owned())),
        several => {
            return Err(Fault::NoKey(format!(
                "the token has {} such private keys; say both object=… and id=…",
                several.len()
            )));
        }
    };
    let asked = [
        AttributeType::Label,
        AttributeType::Id,
        AttributeType::KeyType,
        AttributeType::EcParams,
        AttributeType::AlwaysAuthenticate,
        AttributeType::PublicKeyInfo,
    ];
    let attributes = session.get_attributes(handle, &asked)?;
    let mut found = Attributes::default();
    for attribute in attributes {
        found.take(attribute);
    }
    if found
        .kind
        .is_some_and(|kind| kind != KeyType::EC && kind != KeyType::EC_EDWARDS)
    {
        return Err(Fault::NoKey(KIND.to_owned()));
    }
    let public = public_half(session, &found)?;
    Ok(Found {
        handle,
        pin_each_time: found.pin_each_time,
        label: found.label.and_then(|label| String::from_utf8(label).ok()),
        id: found.id,
        public,
    })
}

/// What was read of an object; empty ones count as not there.
#[derive(Default)]
struct Attributes {
    label: Option<Vec<u8>>,
    id: Option<Vec<u8>>,
    kind: Option<KeyType>,
    parameters: Option<Vec<u8>>,
    point: Option<Vec<u8>>,
    info: Option<Vec<u8>>,
    pin_each_time: bool,
}

impl Attributes {
    fn take(&mut self, attribute: Attribute) {
        let there = |bytes: Vec<u8>| Some(bytes).filter(|bytes| !bytes.is_empty());
        match attribute {
            Attribute::Label(label) => self.label = there(label),
            Attribute::Id(id) => self.id = there(id),
            Attribute::KeyType(kind) => self.kind = Some(kind),
            Attribute::EcParams(parameters) => self.parameters = there(parameters),
            Attribute::EcPoint(point) => self.point = there(point),
            Attribute::PublicKeyInfo(info) => self.info = there(info),
            Attribute::AlwaysAuthenticate(each_time) => self.pin_each_time = each_time,
            _ => {}
        }
    }
}

/// The public half: of the public key object with the same id or label, else what the private key says of it.
///
/// It is believed no further than to the first signature, which is verified with it.
fn public_half(session: &Session, private: &Attributes) -> Result<PublicKey, Fault> {
    let mut wanted = vec![Attribute::Class(ObjectClass::PUBLIC_KEY)];
    match (&private.id, &private.label) {
        (Some(id), _) => wanted.push(Attribute::Id(id.clone())),
        (None, Some(label)) => wanted.push(Attribute::Label(label.clone())),
        (None, None) => {}
    }
    for handle in session.find_objects(&wanted)? {
        let mut public = Attributes::default();
        let asked = [AttributeType::EcParams, AttributeType::EcPoint];
        let attributes = session.get_attributes(handle, &asked)?;
        for attribute in attributes {
            public.take(attribute);
        }
        let parameters = public.parameters.as_ref().or(private.parameters.as_ref());
        let (Some(parameters), Some(point)) = (parameters, &public.point) else {
            continue;
        };
        let scheme = signature::scheme(parameters).ok_or_else(|| Fault::NoKey(KIND.to_owned()))?;
        return signature::public_key(scheme, point).ok_or_else(|| Fault::NoKey(KIND.to_owned()));
    }
    match &private.info {
        Some(info) => PublicKey::from_spki(info).map_err(|_| Fault::NoKey(KIND.to_owned())),
        None => Err(Fault::NoKey(
            "the token has the private key without its public half; write the public key into it with the same id".to_owned(),
        )),
    }
}

/// Makes a pair of keys that stays in the token.
pub fn generate(session: &Session, label: &str, id: &[u8], scheme: Scheme) -> Result<(), Fault> {
    let (mechanism, curves) = match scheme {
        Scheme::EcdsaP256 => (Mechanism::EccKeyPairGen, &[P256][..]),
        // Which of the two a token knows depends on its age.
        Scheme::Ed25519 => (Mechanism::EccEdwardsKeyPairGen, &[ED25519, ED25519_NAME][..]),
    };
    let mut last = None;
    for curve in curves {
        let public = [
            Attribute::Token(true),
            Attribute::Private(false),
            Attribute::Verify(true),
            Attribute::Label(label.into()),
            Attribute::Id(id.into()),
            Attribute::EcParams(curve.to_vec()),
        ];
        let private = [
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
            Attribute::Label(label.into()),
            Attribute::Id(id.into()),
        ];
        match session.generate_key_pair(&mechanism, &public, &private) {
            Ok(_) => return Ok(()),
            Err(error) => last = Some(error),
        }
    }
    Err(match last {
        Some(Error::Pkcs11(RvError::MechanismInvalid | RvError::FunctionNotSupported, _)) => Fault::Refused(
            "it cannot make keys of this scheme; try the other (--scheme p256, --scheme ed25519)",
        ),
        Some(Error::Pkcs11(RvError::TokenWriteProtected | RvError::SessionReadOnly, _)) => {
            Fault::Refused("it is write-protected")
        }
        Some(error) => error.into(),
        None => Fault::Lost,
    })
}
