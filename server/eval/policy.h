/*
 * policy: who may be led where. Rules in order, the first that fits decides; where none fits, the answer is no. Knows nothing of HTTP
 * requests: whoever leads somebody somewhere asks it, first about what was asked for, then about every address before it connects.
 *
 * Glossary
 *   rule       "allow|deny CONDITION …": all its conditions must hold. A condition is "name=value,value…" (one of them) or "name!=…" (none).
 *   ask        what is known of one asking: client, user, method, host, port, path.
 *   answer     yes or no, and by which rule.
 *   guard      the question about an address: by its scope (os/scope.h), the networks that are listed, and "to=" of the rule that allowed.
 *
 * Conditions: all; port=443,8000-8999; method=GET,CONNECT; scheme=http; host=NAMES (exact, *.example.com, .example.com, www.example.*, or
 * ~regex); list=FILES of domains; path=/PREFIX or ~regex; url=~regex; client=CIDR; user=NAMES or *; time=[mon-fri/]08:00-18:00; if=$variable;
 * and, of an allow rule, to=CIDR or a scope's name: addresses that it may lead to although they would be refused; name=WORD: what the rule is
 * called. One that asks for what is not known (the path of a CONNECT) does not hold, with "!=" neither.
 */
#ifndef EVAL_POLICY_H
#define EVAL_POLICY_H

#include "eval/eval.h"
#include "os/scope.h"

struct policy_rule;
struct policy_guards { struct policy_guard *v; size_t n, cap; };
struct policy_rules { struct policy_rule **v; size_t n, cap; };
struct policy_ports { struct policy_range *v; size_t n, cap; };

/* What one block of a configuration says; inherited field by field. */
struct policy {
    struct policy_rules  rules;
    struct policy_ports  ports;       /* besides 80 and 443 */
    struct policy_guards guards;
};

/* The types of the fields: "allow | deny condition ...", "port | port-port ...", "allow | deny address | CIDR | scope ...". */
extern const struct conf_type policy_rule_type, policy_ports_type, policy_guard_type;

struct policy_ask {
    const struct addr *client;
    struct text        user;          /* empty: none */
    struct text        method;        /* "CONNECT" for tunnels of any kind */
    struct text        scheme;        /* empty: not known, as of tunnels */
    struct text        host;          /* lower case, IPv6 in brackets, no port */
    struct text        alias;         /* what else leads there: a rule that denies by host= or list= holds of either. Empty: nothing */
    uint16_t           port;
    struct text        path;          /* with arguments; empty: not known */
    struct eval       *eval;          /* for variables and captures; NULL: conditions with variables do not hold */
};

struct policy_answer {
    bool                      allowed;
    struct text               rule;   /* its name, or its number; "ports", "default" where no rule decided */
    struct text               words;  /* as it stands in the file */
    const struct policy_rule *by;     /* NULL: no rule */
};

/* False: no. pool: for *out. */
bool policy_decide(const struct policy *p, const struct policy_ask *a, struct pool *pool, struct policy_answer *out);
/* May there be a connection to a, for an asking that was answered so? *why_out (may be NULL): the name of the scope or "listed". Asked about
 * every address, also of an address that was named outright. */
bool policy_guard_allows(const struct policy *p, const struct policy_answer *answer, const struct addr *a, const char **why_out);
/* ---- a rule of one's own, by the same conditions ---- */

struct policy_rule *policy_rule_open(struct conf *cf);
/* One condition, or "name=…". NULL, or what is wrong. */
conf_result policy_rule_add(struct conf *cf, struct policy_rule *rule, struct text word);
/* Do all hold? *failed_out is set where that cannot be known (a regex that gave up at its limits). */
bool policy_rule_fits(const struct policy_rule *rule, const struct policy_ask *a, struct pool *pool, bool *failed_out);

/* Is a port allowed? */
bool policy_port_listed(const struct policy_ports *ports, uint16_t port);
bool policy_port_allowed(const struct policy *p, uint16_t port);

#endif
