# SPDX-License-Identifier: MIT
# Machines whose CPU has hardware virtualization, emulated in software.  Included by the Makefile.
#
#   make nested JOB=FILE [OUT=DIR]   run a job there; see tests/nested/boot
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

$(NESTED_BASE): tests/nested/pack tests/nested/init $(NESTED_LINUX)/vmlinuz $(RINGSIDE) guests
	@mkdir -p $(@D)
	tests/nested/pack $@ $(NESTED_LINUX) $(RINGSIDE) $(O)/guest

nested-ready: $(NESTED_BASE)

OUT          ?= $(NESTED)/out
nested: all                ## a machine with SVM, emulated, does JOB=FILE; output in OUT=DIR
	@$(MAKE) --no-print-directory nested-ready
	@[ -f "$(JOB)" ] || { echo "usage: make nested JOB=FILE [OUT=DIR]; see tests/nested/init" >&2; exit 2; }
	tests/nested/boot $(NESTED_BASE) $(NESTED_LINUX) $(JOB) $(OUT)
