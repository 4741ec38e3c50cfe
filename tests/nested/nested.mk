# SPDX-License-Identifier: MIT
# Machines whose CPU has hardware virtualization, emulated in software.  Included by the Makefile.
#
#   make nested JOB=FILE [NESTED_CPU=intel] [OUT=DIR]   do a job there; see tests/nested/boot
#
# The kernel is Debian's own package, unpacked and not installed.  It is kept outside of build/, so
# that `make clean` does not cost its download.
NESTED       := $(O)/nested
NESTED_CACHE ?= .cache
NESTED_LINUX := $(NESTED_CACHE)/linux
NESTED_BASE  := $(NESTED)/base.cpio
NESTED_ENV   := NESTED_BASE=$(NESTED_BASE) NESTED_LINUX=$(NESTED_LINUX)

.PHONY: nested nested-ready

$(NESTED_LINUX)/vmlinuz: tests/nested/fetch | test-deps
	tests/nested/fetch $(NESTED_LINUX)

$(NESTED)/e9cat: tests/nested/e9cat.c
	@mkdir -p $(@D)
	$(CC) -std=c11 -O2 $(WARN) -D_GNU_SOURCE -static -o $@ $<

$(NESTED_BASE): tests/nested/pack tests/nested/init $(NESTED_LINUX)/vmlinuz $(NESTED)/e9cat $(RINGSIDE) guests
	tests/nested/pack $@ $(NESTED_LINUX) $(NESTED)/e9cat $(RINGSIDE) $(O)/guest

nested-ready: $(NESTED_BASE)

NESTED_CPU   ?= amd
OUT          ?= $(NESTED)/out
nested: test-deps          ## a machine with SVM or VT-x, emulated, does JOB=FILE; output in OUT=DIR
	@$(MAKE) --no-print-directory nested-ready
	@[ -f "$(JOB)" ] || { echo "usage: make nested JOB=FILE [NESTED_CPU=intel] [OUT=DIR]; see tests/nested/init" >&2; exit 2; }
	tests/nested/boot -c $(NESTED_CPU) $(NESTED_BASE) $(NESTED_LINUX) $(JOB) $(OUT)
