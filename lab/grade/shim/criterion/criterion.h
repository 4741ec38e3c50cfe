/* SPDX-License-Identifier: MIT */
/*
 * What the helpers in tests/ use of Criterion, for graded items: a check that fails loses the
 * item's points.  Students need no Criterion.
 */
#ifndef RINGSIDE_LAB_CRITERION_H
#define RINGSIDE_LAB_CRITERION_H
#pragma GCC system_header /* comparisons of signed with unsigned and empty formats are as there */

#include <stdbool.h>
#include <string.h>

#include "lab/grade/item.h"

_Noreturn void lab_check_failed(const char *file, int line, const char *what, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#define LAB_CHECK(ok, what, ...)                                                    \
	do {                                                                        \
		if (!(ok))                                                          \
			lab_check_failed(__FILE__, __LINE__, what, "" __VA_ARGS__); \
	} while (0)

#define LAB_VALUE(v) _Generic((v), float : (long long)0, double : (long long)0, default : (v))
/* The values, too, if the caller says nothing. */
#define LAB_COMPARE(a, op, b, ...)                                                            \
	do {                                                                                  \
		__typeof__((a) + 0) a_ = (a);                                                 \
		__typeof__((b) + 0) b_ = (b);                                                 \
		if (!(a_ op b_)) {                                                            \
			__VA_OPT__(lab_check_failed(__FILE__, __LINE__, #a " " #op " " #b,    \
						    "" __VA_ARGS__);)                         \
			lab_check_failed(__FILE__, __LINE__, #a " " #op " " #b,               \
					 "it is %lld " #op " %lld", (long long)LAB_VALUE(a_), \
					 (long long)LAB_VALUE(b_));                           \
		}                                                                             \
	} while (0)

#define cr_assert(c, ...)              LAB_CHECK(c, #c, __VA_ARGS__)
#define cr_assert_not(c, ...)          LAB_CHECK(!(c), "!(" #c ")", __VA_ARGS__)
#define cr_assert_null(p, ...)         LAB_CHECK(!(p), #p " is NULL", __VA_ARGS__)
#define cr_assert_not_null(p, ...)     LAB_CHECK(p, #p " is not NULL", __VA_ARGS__)
#define cr_assert_eq(a, b, ...)        LAB_COMPARE(a, ==, b, __VA_ARGS__)
#define cr_assert_neq(a, b, ...)       LAB_COMPARE(a, !=, b, __VA_ARGS__)
#define cr_assert_lt(a, b, ...)        LAB_COMPARE(a, <, b, __VA_ARGS__)
#define cr_assert_leq(a, b, ...)       LAB_COMPARE(a, <=, b, __VA_ARGS__)
#define cr_assert_gt(a, b, ...)        LAB_COMPARE(a, >, b, __VA_ARGS__)
#define cr_assert_geq(a, b, ...)       LAB_COMPARE(a, >=, b, __VA_ARGS__)
#define cr_assert_str_eq(a, b, ...)    LAB_CHECK(!strcmp(a, b), #a " equals " #b, __VA_ARGS__)
#define cr_assert_arr_eq(a, b, n, ...) LAB_CHECK(!memcmp(a, b, n), #a " equals " #b, __VA_ARGS__)
#define cr_assert_fail(...)            LAB_CHECK(false, "failed", __VA_ARGS__)
#define cr_log_error(...)              lab_note(__VA_ARGS__)

#define cr_expect          cr_assert
#define cr_expect_not      cr_assert_not
#define cr_expect_null     cr_assert_null
#define cr_expect_not_null cr_assert_not_null
#define cr_expect_eq       cr_assert_eq
#define cr_expect_neq      cr_assert_neq
#define cr_expect_lt       cr_assert_lt
#define cr_expect_leq      cr_assert_leq
#define cr_expect_gt       cr_assert_gt
#define cr_expect_geq      cr_assert_geq
#define cr_expect_str_eq   cr_assert_str_eq
#define cr_expect_arr_eq   cr_assert_arr_eq
#define cr_expect_fail     cr_assert_fail

#endif
