# Ringside.  `make help` lists the targets.
#
#   O=DIR     build somewhere else than build/
#   SAN=1     with AddressSanitizer and UndefinedBehaviorSanitizer (what `make asan` uses)

O        ?= build
PREFIX   ?= /usr/local
DESTDIR  ?=
CC       := gcc
VERSION  := $(shell cat VERSION)
JOBS     ?= $(shell nproc)

# Debian packages, and the file whose presence says that each is installed.
include deps.mk

WARN     := -Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Werror
CFLAGS   ?= -O2 -g
CPPFLAGS += -I. -I$(O)/gen -D_GNU_SOURCE -DRINGSIDE_VERSION='"$(VERSION)"'
ALLFLAGS  = -std=c11 $(CFLAGS) $(WARN) -fno-common -pthread $(SANFLAGS)
LDLIBS   := -lcapstone -lelf -ljson-c -lconfig -lncursesw -ltraceevent -pthread
ifdef SAN
SANFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
endif

LIB_SRC  := $(wildcard decoder/*.c vmm/*.c vmm/[!w]*/*.c) \
            $(filter-out vmm/world/stub.c,$(wildcard vmm/world/*.c))
LIB_SRC  := $(filter-out vmm/main.c,$(LIB_SRC))
# lab/reference: in a student's tree, modules of which it has no source.
LIB_OBJ  := $(LIB_SRC:%.c=$(O)/%.o) $(sort $(wildcard lab/reference/*.o))
TEST_SRC := $(wildcard tests/*.c)
TEST_OBJ := $(TEST_SRC:%.c=$(O)/%.o)
RINGSIDE := $(O)/ringside
TESTS    := $(O)/tests/ringside-tests

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.PHONY: all help deps test-deps run test check bench asan lint format docs install uninstall clean guests

all: deps                  ## build build/ringside and the guest images
	@$(MAKE) --no-print-directory -j$(JOBS) $(RINGSIDE) guests

help:                      ## this list
	@grep -hE '^[a-z-]+:.*##' $(filter %akefile %.mk,$(MAKEFILE_LIST)) | \
	  sed -E 's/:[^#]*## */\t/' | expand -t 14

$(RINGSIDE): $(O)/vmm/main.o $(LIB_OBJ) $(O)/vmm/world/stub_blob.o
	$(CC) $(ALLFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(O)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALLFLAGS) -MMD -MP -c -o $@ $<

# The world stub: freestanding, high-linked, no SSE, embedded as bytes in ringside.
STUB_CFLAGS := -std=c11 -O2 -g $(WARN) -ffreestanding -fno-pic -no-pie -mcmodel=large \
               -mgeneral-regs-only -fno-stack-protector -fcf-protection=none -fno-builtin \
               -fno-asynchronous-unwind-tables -mno-red-zone -fno-tree-loop-distribute-patterns
$(O)/vmm/world/stub.elf: vmm/world/stub.c vmm/world/stub_entry.S vmm/world/stub.ld vmm/world/share.h
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(STUB_CFLAGS) -nostdlib -static -Wl,-T,vmm/world/stub.ld \
	      -Wl,--build-id=none -Wl,-z,noexecstack -o $@ vmm/world/stub.c vmm/world/stub_entry.S
$(O)/vmm/world/stub_blob.o: vmm/world/stub_blob.S $(O)/vmm/world/stub.elf
	@mkdir -p $(@D)
	$(CC) -DSTUB_ELF='"$(O)/vmm/world/stub.elf"' -c -o $@ $<

include guest/guest.mk
# What a guest or a group of tests brings along: its sources, its targets.
include $(wildcard guest/*/*.mk tests/*/*.mk)
-include lab/lab.mk

$(TESTS): $(TEST_OBJ) $(LIB_OBJ) $(O)/vmm/world/stub_blob.o
	@mkdir -p $(@D)
	$(CC) $(ALLFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcriterion

run: all                   ## boot the demo guest and print its trap account
	$(RINGSIDE) run --stats $(O)/guest/minios.elf -append demo || [ $$? = 33 ] # its "all is well"

test: test-deps            ## all tests; ends with Criterion's synthesis
	@$(MAKE) --no-print-directory -j$(JOBS) check

check: $(RINGSIDE) $(TESTS) guests lab-ready nested-ready
	RINGSIDE=$(RINGSIDE) GUESTS=$(O)/guest LAB_TARBALL=$(LAB_TARBALL) \
	  LAB_CHECK=$(LAB_GRADE)/check $(NESTED_ENV) $(TESTS) $(TESTFLAGS)

# The world stub and the guests are built without sanitizers: they have no runtime to report to.
# Leaks: of ours none is suppressed; libcriterion.so keeps three small blocks in its runner.
SAN_ENV := ASAN_OPTIONS=detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1 \
           LSAN_OPTIONS=suppressions=tests/lsan.supp:print_suppressions=0
asan: test-deps            ## all tests under ASan and UBSan
	$(SAN_ENV) $(MAKE) --no-print-directory -j$(JOBS) check SAN=1 O=$(O)/asan CFLAGS='-O1 -g'

# What bench/code.c scans: the decoder and the emulator, compiled for i386.
SAMPLE_SRC := $(wildcard decoder/*.c vmm/emu/*.c)
SAMPLE_OBJ := $(SAMPLE_SRC:%.c=$(O)/bench/sample/%.o)
SAMPLE     := $(O)/bench/sample.elf
$(SAMPLE_OBJ): $(O)/bench/sample/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -std=c11 -O2 -w -Wno-psabi -m32 -fno-pic -fcf-protection=none \
	      -fno-asynchronous-unwind-tables -MMD -MP -c -o $@ $<
$(SAMPLE): bench/sample.S bench/sample.ld $(SAMPLE_OBJ)
	$(CC) -m32 -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,noexecstack \
	      -Wl,--no-warn-rwx-segments -Wl,--unresolved-symbols=ignore-all \
	      -Wl,-T,bench/sample.ld -o $@ bench/sample.S $(SAMPLE_OBJ)

BENCHES := $(patsubst %.c,$(O)/%,$(filter-out bench/bench.c,$(wildcard bench/*.c)))
bench: test-deps all       ## what traps, paging and shadow code pages cost; JSON in build/bench/
	@$(MAKE) --no-print-directory $(BENCHES) $(SAMPLE)
	@for b in $(BENCHES); do echo; RINGSIDE=$(RINGSIDE) GUESTS=$(O)/guest \
	  BENCH_SAMPLE=$(SAMPLE) $$b --json $$b.json || exit; done
$(BENCHES): %: %.o $(O)/bench/bench.o $(LIB_OBJ) $(O)/vmm/world/stub_blob.o
	$(CC) $(ALLFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# All C but what the assembler sources in tests/hostile/ include, which is .h in name only.
C_FILES   = $(shell find bench decoder guest lab tests vmm -name '*.[ch]' ! -path 'tests/hostile/*.h')
# nullPointer in crash.c is what that program is for.
# comparePointers: the labels at both ends of a piece of assembler are two objects to cppcheck.
CPPCHECK := cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr \
            --suppress=missingIncludeSystem --suppress=comparePointers --error-exitcode=1 -j2 \
            -I. -D_GNU_SOURCE -DRINGSIDE_VERSION='"x"'
lint: test-deps            ## clang-format check and cppcheck, both clean
	clang-format --dry-run -Werror $(C_FILES)
	$(CPPCHECK) decoder vmm bench
	for d in $(sort $(dir $(wildcard guest/*/*.c))); do \
	  $(CPPCHECK) --platform=unix32 --suppress=nullPointer:guest/minios/user/crash.c $$d || exit; done
format: test-deps          ## rewrite the sources with clang-format
	clang-format -i $(C_FILES)

docs: $(RINGSIDE)          ## rewrite docs/sensitive-instructions.md from the table
	$(RINGSIDE) table --markdown >docs/sensitive-instructions.md.new
	mv docs/sensitive-instructions.md.new docs/sensitive-instructions.md

install: all               ## install ringside and its man page (DESTDIR, PREFIX)
	install -D -m 755 $(RINGSIDE) $(DESTDIR)$(PREFIX)/bin/ringside
	install -D -m 644 docs/ringside.1 $(DESTDIR)$(PREFIX)/share/man/man1/ringside.1
uninstall:                 ## remove what install installed
	rm -f $(DESTDIR)$(PREFIX)/bin/ringside $(DESTDIR)$(PREFIX)/share/man/man1/ringside.1

deps:                      ## install the Debian packages that are missing (needs root or sudo)
	@missing=""; set -- $(DEPS); while [ $$# -gt 0 ]; do \
	  [ -e "$$2" ] || missing="$$missing $$1"; shift 2; done; \
	if [ -n "$$missing" ]; then \
	  echo "deps: installing$$missing"; \
	  sudo=""; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	  $$sudo apt-get update -qq && \
	  $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; \
	fi

test-deps:                 ## the same with what the tests need
	@$(MAKE) --no-print-directory deps DEPS='$(DEPS) $(TEST_DEPS)'

clean:                     ## remove build/
	rm -rf $(O)

-include $(LIB_OBJ:.o=.d) $(TEST_OBJ:.o=.d) $(SAMPLE_OBJ:.o=.d) $(O)/vmm/main.d \
         $(wildcard $(O)/bench/*.d)
