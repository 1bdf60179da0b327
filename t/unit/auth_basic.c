/* auth_basic's passwords: every scheme, and what fits nobody. */
#include "modules/auth_basic.h"
#include "t/unit/tap.h"

int main(void)
{
    static const struct { const char *hash; bool slow; } secret[] = {
        { "{PLAIN}secret", false }, { "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", false }, { "{SSHA}gVK8WC9YyFT1gMsQHTGCgT3sSv5zYWx0", false },
        { "$apr1$abcdefgh$h9FWgUz3n9YxylKLlR5SQ/", true }, { "$1$QIYZKyay$0pzTRQjhv1iwlyVnV4z8X1", true }, { "y8Go8sxwk1E6g", true },
        { "$5$LHhgEqaY5Z.zUB.b$YJ1Z5M4YUlXGEj3paRQWp5jCUihMYINF697xi9shVF3", true },
        { "$6$9omi42lmG.0t4Urz$eqKSHd0AWni15shCCf2PgNHm49UCaNgoAqIWE.K9yFDQ8bzKOKliShvmiI7nz.A0TmAtgLzO0MWsLWu65jrat/", true },
        { "$2b$04$W8oOfvqMQ8UuSFl5Yg8KleHqHTW2N2rzAaSG7EPpQJd.SOfGwak4y", true }, { "$y$j9T$abcdefghijkl$XFQnRmFDoRnfefa6tLCdzcaB9xoGhmmkRgfG1lm0pK1", true },
    };
    for (size_t i = 0; i < countof(secret); i++) {
        struct text hash = text_c(secret[i].hash);
        ok(password_fits(T("secret"), hash), "%.8s: fits", secret[i].hash);
        ok(!password_fits(T("Secret"), hash) && !password_fits(T("secre"), hash) && !password_fits(T(""), hash) && !password_fits(T("secret\0"), hash),
           "%.8s: others do not", secret[i].hash);
        ok(password_is_slow(hash) == secret[i].slow, "%.8s: %s", secret[i].hash, secret[i].slow ? "slow" : "fast");
        bool cut = false;
        for (size_t n = 1; n < hash.n; n++) cut |= hash.p[n] != '=' && password_fits(T("secret"), text_upto(hash, n));
        ok(!cut, "%.8s: nor one that was cut", secret[i].hash);
    }
    static const char *const nobody[] = { "", "*", "*0", "*1", "!", "x", "$", "$9$x$y", "{SHA}", "{SSHA}", "{SHA}!!!!", "{SSHA}AAAA", "{NONE}secret", "secret", "$apr1$", "$apr1$abc",
                                          "$apr1$$", "$2b$99$W8oOfvqMQ8UuSFl5Yg8KleHqHTW2N2rzAaSG7EPpQJd.SOfGwak4y", "$5$rounds=999999999999$a$b" };
    for (size_t i = 0; i < countof(nobody); i++)
        ok(!password_fits(T("secret"), text_c(nobody[i])) && !password_fits(T(""), text_c(nobody[i])) && !password_fits(text_c(nobody[i]), text_c(nobody[i])), "\"%s\" fits nobody", nobody[i]);
    ok(password_fits(T(""), T("{PLAIN}")), "an empty password, when that is said");
    char big[2000];
    memset(big, 'a', sizeof big);
    ok(!password_fits(text_of(big, sizeof big), T("$1$QIYZKyay$0pzTRQjhv1iwlyVnV4z8X1")), "a password beyond measure");
    ok(!password_fits(T("secret"), text_of(big, sizeof big)), "a hash beyond measure");
    return done();
}
