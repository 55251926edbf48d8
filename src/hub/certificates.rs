//! Which certificates are trusted, for everything that uses TLS.

use rustls::pki_types::CertificateDer;

use super::HubError;

/// The certificates that SSL_CERT_FILE and SSL_CERT_DIR name, else those of the system: a proxy that inspects TLS has one of
/// its own there. None where the system has none.
///
/// # Errors
/// The variables are set, and there are no certificates where they point.
pub fn trusted_certificates() -> Result<Vec<CertificateDer<'static>>, HubError> {
    let found = rustls_native_certs::load_native_certs();
    let errors: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
    let is_named = ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().any(|name| std::env::var_os(name).is_some());
    if found.certs.is_empty() && is_named {
        return Err(HubError::NoCertificates(errors.join(", ")));
    }
    errors.iter().for_each(|error| tracing::debug!("cannot read a certificate: {error}"));
    Ok(found.certs)
}
