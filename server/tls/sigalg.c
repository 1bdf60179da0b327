/* sigalg: signature schemes by their names in the IANA's registry (RFC 8446 4.2.3). */
#include "tls/session.h"

static const struct { uint16_t code; int hash, sign; const char *name; } schemes[] = {
    { 0x0403, NID_sha256, EVP_PKEY_EC, "ecdsa_secp256r1_sha256" },    { 0x0503, NID_sha384, EVP_PKEY_EC, "ecdsa_secp384r1_sha384" },
    { 0x0603, NID_sha512, EVP_PKEY_EC, "ecdsa_secp521r1_sha512" },    { 0x0303, NID_sha224, EVP_PKEY_EC, "ecdsa_sha224" },
    { 0x0203, NID_sha1, EVP_PKEY_EC, "ecdsa_sha1" },                  { 0x0807, NID_undef, EVP_PKEY_ED25519, "ed25519" },
    { 0x0808, NID_undef, EVP_PKEY_ED448, "ed448" },                   { 0x0804, NID_sha256, EVP_PKEY_RSA_PSS, "rsa_pss_rsae_sha256" },
    { 0x0805, NID_sha384, EVP_PKEY_RSA_PSS, "rsa_pss_rsae_sha384" },  { 0x0806, NID_sha512, EVP_PKEY_RSA_PSS, "rsa_pss_rsae_sha512" },
    { 0x0809, NID_sha256, NID_undef, "rsa_pss_pss_sha256" },          { 0x080a, NID_sha384, NID_undef, "rsa_pss_pss_sha384" },
    { 0x080b, NID_sha512, NID_undef, "rsa_pss_pss_sha512" },          { 0x0401, NID_sha256, EVP_PKEY_RSA, "rsa_pkcs1_sha256" },
    { 0x0501, NID_sha384, EVP_PKEY_RSA, "rsa_pkcs1_sha384" },         { 0x0601, NID_sha512, EVP_PKEY_RSA, "rsa_pkcs1_sha512" },
    { 0x0301, NID_sha224, EVP_PKEY_RSA, "rsa_pkcs1_sha224" },         { 0x0201, NID_sha1, EVP_PKEY_RSA, "rsa_pkcs1_sha1" },
    { 0x0402, NID_sha256, EVP_PKEY_DSA, "dsa_sha256" },               { 0x0302, NID_sha224, EVP_PKEY_DSA, "dsa_sha224" },
    { 0x0202, NID_sha1, EVP_PKEY_DSA, "dsa_sha1" },
};

const char *tls_sigalg_name(unsigned code)
{
    for (size_t i = 0; i < countof(schemes); i++)
        if (schemes[i].code == code) return schemes[i].name;
    return NULL;
}

/* A key that is for PSS alone has schemes of its own, which OpenSSL's numbers do not tell apart. */
static const char *scheme_of(int hash, int sign, const X509 *certificate)
{
    const char *name = NULL;
    for (size_t i = 0; !name && i < countof(schemes); i++)
        if (schemes[i].sign == sign && (schemes[i].hash == hash || schemes[i].hash == NID_undef)) name = schemes[i].name;
    bool pss_only = certificate && sign == EVP_PKEY_RSA_PSS && EVP_PKEY_is_a(X509_get0_pubkey(certificate), "RSA-PSS");
    if (!pss_only) return name;
    return hash == NID_sha512 ? "rsa_pss_pss_sha512" : hash == NID_sha384 ? "rsa_pss_pss_sha384" : "rsa_pss_pss_sha256";
}

const char *tls_sigalg(struct conn *c)
{
    SSL *ssl = tls_raw(c);
    int hash = NID_undef, sign = NID_undef;
    if (!SSL_get_signature_type_nid(ssl, &sign)) return NULL;
    SSL_get_signature_nid(ssl, &hash);
    return scheme_of(hash, sign, SSL_get_certificate(ssl));
}

const char *tls_peer_sigalg(struct conn *c)
{
    SSL *ssl = tls_raw(c);
    int hash = NID_undef, sign = NID_undef;
    if (!SSL_get0_peer_certificate(ssl) || !SSL_get_peer_signature_type_nid(ssl, &sign)) return NULL;
    SSL_get_peer_signature_nid(ssl, &hash);
    return scheme_of(hash, sign, SSL_get0_peer_certificate(ssl));
}
