//! Checks tokens with the jsonwebtoken crate: each token of a file such as
//! server/internal/token/testdata/vectors.json must be signed with its secret and
//! hold its claims and nothing else.

use std::{env, error::Error, fs};

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
struct Vector {
    name: String,
    secret: String,
    external_id: Option<String>,
    email: Option<String>,
    iat: i64,
    token: String,
}

impl Vector {
    fn check(&self) -> Result<(), Box<dyn Error>> {
        let mut want = Map::from_iter([("iat".into(), self.iat.into())]);
        for (claim, value) in [("externalId", &self.external_id), ("email", &self.email)] {
            if let Some(value) = value {
                want.insert(claim.into(), value.as_str().into());
            }
        }
        let mut validation = Validation::new(Algorithm::HS256);
        validation.validate_exp = false; // the token has none: Kustomer goes by iat
        validation.required_spec_claims.clear();
        let key = DecodingKey::from_secret(self.secret.as_bytes());
        let claims = decode::<Map<String, Value>>(&self.token, &key, &validation)?.claims;
        if claims != want {
            return Err(format!("claims {claims:?}, want {want:?}").into());
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let file = env::args().nth(1).ok_or("usage: verify FILE")?;
    let vectors: Vec<Vector> = serde_json::from_str(&fs::read_to_string(file)?)?;
    for vector in &vectors {
        vector.check().map_err(|error| format!("{}: {error}", vector.name))?;
    }
    println!("{} tokens verified with jsonwebtoken (Rust)", vectors.len());
    Ok(())
}
