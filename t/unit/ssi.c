/* ssi: the same events whatever the pieces that bytes come in. */
#include "wire/ssi.h"
#include "base/build.h"
#include "t/unit/tap.h"

static struct pool *pool;

/* What the page is made of: text as it stands, a command as "{name key=value …}", what is none as "{!}". */
static struct text read_page(struct text page, size_t piece)
{
    struct ssi_parser s;
    struct build b = build_in_pool(pool, 256, 0);
    ssi_parse_open(&s, pool, 16);
    for (size_t at = 0; at < page.n;) {
        struct text t = text_of(page.p + at, min_of(piece, page.n - at));
        size_t used = 0;
        enum ssi_event e = ssi_parse(&s, t, &used);
        if (e == SSI_TEXT) build_text(&b, text_upto(t, used));
        if (e == SSI_SPILL) {
            build_text(&b, text_of(SSI_BEGIN, s.matched));
            s.matched = 0;
        }
        if (e == SSI_BAD) build_lit(&b, "{!}");
        if (e == SSI_COMMAND) {
            build_fmt(&b, "{%.*s", TEXT_ARG(s.command));
            for (size_t i = 0; i < min_of(s.count, (size_t) SSI_PARAMS_MOST); i++) build_fmt(&b, " %.*s=%.*s", TEXT_ARG(s.params[i].name), TEXT_ARG(s.params[i].value));
            build_char(&b, '}');
        }
        at += used;
    }
    return build_done(&b);
}

static const struct { const char *page, *want; } cases[] = {
    { "plain", "plain" }, { "a<b<!c<!-d<!--e<!-- f -->", "a<b<!c<!-d<!--e<!-- f -->" },
    { "x<!--#echo var=\"uri\" -->y", "x{echo var=uri}y" }, { "<<!--#endif-->", "<{endif}" }, { "<!<!--# a b='c\"' d = \"\" -->>", "<!{a b=c\" d=}>" },
    { "<!--#a b=\"\\\"\" -->", "{a b=\\\"}" }, { "<!--#a b=c -->z", "{!}z" }, { "<!--#a b=\"c\"d -->z", "{!}z" }, { "<!--#a b=\"12345678901234567\" -->z", "{!}z" },
    { "<!--#a b=\"1234567890123456\" -->z", "{a b=1234567890123456}z" }, { "<!--#abcdefghijklmnopqrstuvwxyz0123456789 -->z", "{!}z" }, { "<!--#a -x-->z", "{!}z" },
    { "<!--#a --->z-->y", "{!}y" }, { "<!--#a", "" }, { "<!--#a abcdefghijklmnopqrstuvwxyz0123456789=\"\" -->z", "{!}z" },
};

int main(void)
{
    pool = pool_open(0);
    for (size_t i = 0; i < countof(cases); i++)
        for (size_t piece = 1; piece < 12; piece += 5) {
            struct text got = read_page(text_c(cases[i].page), piece);
            ok(text_eq(got, text_c(cases[i].want)), "%s, by %zu: %.*s", cases[i].page, piece, TEXT_ARG(got));
        }
    pool_close(&pool);
    return done();
}
