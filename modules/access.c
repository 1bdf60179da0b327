/* access: who may come in, by address: the first rule that fits decides; where none does, there is nothing to say. */
#include "modules/module.h"
#include "eval/networks.h"
#include "http/steps.h"
#include "os/metrics.h"

enum { ORDER_ACCESS = 10 };

enum rule_kind { RULE_ALL, RULE_UNIX, RULE_NET, RULE_LIST };
struct rule { enum rule_kind kind; bool deny; struct cidr net; struct list_file *list; };
struct rules { struct rule *v; size_t n, cap; bool v4; };      /* v4: some of them speak of IPv4 */
struct access_conf { struct rules rules; };

extern struct module access_module;

static conf_result parse_rule(struct conf *cf, const struct directive *d, void *field)
{
    struct rules *rules = field;
    struct text word = cf->words[1];
    struct rule rule = { .kind = RULE_NET, .deny = d->name[0] == 'd' };
    if (text_eq(word, T("all"))) rule.kind = RULE_ALL;
    else if (text_eq(word, T("unix:"))) rule.kind = RULE_UNIX;
    else if (text_starts(word, T("list=")) && word.n > 5) {
        rule.kind = RULE_LIST;
        rule.list = networks_of(cf, conf_full_path(cf, text_from(word, 5), true));
    } else if (!addr_parse_cidr(word, &rule.net)) return conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(word));
    else if (rule.net.low_bits) conf_warn(cf, "low address bits of %.*s are meaningless", TEXT_ARG(word));
    rules->v4 |= rule.kind == RULE_ALL || rule.kind == RULE_LIST || (rule.kind == RULE_NET && rule.net.base.family == AF_INET);
    if (rules->n == rules->cap) rules->v = pool_grow(cf->pool, rules->v, rules->n, &rules->cap, sizeof *rules->v);
    rules->v[rules->n++] = rule;
    return NULL;
}

static bool fits_v6(const struct in6_addr *a, const struct cidr *net)
{
    for (unsigned i = 0; i < net->bits; i++)
        if ((a->s6_addr[i / 8] ^ net->base.in6.sin6_addr.s6_addr[i / 8]) & 0x80 >> i % 8) return false;
    return true;
}

static bool fits(const struct rule *rule, const struct addr *a, bool as_v6)
{
    switch (rule->kind) {
    case RULE_ALL: return true;
    case RULE_UNIX: return a->family == AF_UNIX;
    case RULE_LIST: return networks_have(rule->list, a);
    default: return as_v6 ? fits_v6(&a->in6.sin6_addr, &rule->net) : addr_in_cidr(a, &rule->net);
    }
}

static struct verdict decide(struct request *r)
{
    const struct access_conf *c = request_values(r, &access_module);
    /* An IPv4 client at an IPv6 socket is looked up in IPv4 rules, and where there are none, in the others. */
    bool as_v6 = !c->rules.v4 && r->peer->family == AF_INET6;
    for (size_t i = 0; i < c->rules.n; i++) {
        const struct rule *rule = &c->rules.v[i];
        if (!fits(rule, r->peer, as_v6)) continue;
        if (!rule->deny) return v_goto(&step_post_access);
        if (http_core(r)->satisfy == SATISFY_ALL) request_log(r, L_ERR, 0, "access forbidden by rule");
        metrics_add(METRIC_ACCESS_DENIED, 1);
        return v_reply(403);
    }
    return v_next();
}

static const struct conf_type type_rule = { .syntax = "address | CIDR | unix: | all | list=file", .size = sizeof(struct rules), .flags = CONF_MULTI, .min = 1, .max = 1, .parse = parse_rule };

enum { WHERE = IN_HSL | IN_LIMIT_EXCEPT };
static const struct directive rows[] = {
    D_TYPE(struct access_conf, rules, struct rules, &type_rule, "allow", WHERE, NULL, "Lets clients of an address or network in, or of a list of them in a file (address_list tells how it looks, and that it may change at any time), unless a rule before it denies them."),
    D_TYPE(struct access_conf, rules, struct rules, &type_rule, "deny", WHERE, NULL, "Refuses clients of an address or network, or of a list of them in a file (address_list tells how it looks, and that it may change at any time), unless a rule before it allows them."),
    { .name = NULL },
};

static const struct hook hooks[] = { { .step = &step_access, .name = "access", .run = decide, .order = ORDER_ACCESS }, { .step = NULL } };
static const struct http_part part = { .hooks = hooks, .if_given = true };

struct module access_module = { .name = "access", .conf_size = sizeof(struct access_conf), .rows = rows, .part = &part, .part_kind = &http_part_kind };
