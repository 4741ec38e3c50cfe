# Ringside.  `make help` lists the targets.
#
#   O=DIR     build somewhere else than build/
#   SAN=1     with AddressSanitizer and UndefinedBehaviorSanitizer (what `make asan` uses)

O        ?= build
PREFIX   ?= /usr/local
DESTDIR  ?=
CC       := gcc
VERSION  := $(shell cat VERSION)

# Debian packages, and the file whose presence says that each is installed.
include deps.mk

WARN     := -Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Werror
CFLAGS   ?= -O2 -g
CPPFLAGS += -I. -I$(O)/gen -D_GNU_SOURCE -DRINGSIDE_VERSION='"$(VERSION)"'
ALLFLAGS  = -std=c11 $(CFLAGS) $(WARN) -fno-common -pthread $(SANFLAGS)
LDLIBS   := -lcapstone -lelf -ljson-c -pthread
ifdef SAN
SANFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
endif

LIB_SRC  := $(wildcard decoder/*.c vmm/*.c vmm/dev/*.c vmm/emu/*.c) \
            $(filter-out vmm/world/stub.c,$(wildcard vmm/world/*.c))
LIB_SRC  := $(filter-out vmm/main.c,$(LIB_SRC))
LIB_OBJ  := $(LIB_SRC:%.c=$(O)/%.o)
TEST_SRC := $(wildcard tests/*.c)
TEST_OBJ := $(TEST_SRC:%.c=$(O)/%.o)
RINGSIDE := $(O)/ringside
TESTS    := $(O)/tests/ringside-tests

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.PHONY: all help deps run test check bench asan lint format install uninstall clean guests

all: deps                  ## build build/ringside and the guest images
	@$(MAKE) --no-print-directory $(RINGSIDE) guests

help:                      ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 14

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

$(TESTS): $(TEST_OBJ) $(LIB_OBJ) $(O)/vmm/world/stub_blob.o
	@mkdir -p $(@D)
	$(CC) $(ALLFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcriterion

run: all                   ## boot the demo guest and print its trap account
	$(RINGSIDE) run --stats $(O)/guest/minios.elf -append demo

test: all                  ## all tests; ends with Criterion's synthesis
	@$(MAKE) --no-print-directory check

check: $(RINGSIDE) $(TESTS) guests
	RINGSIDE=$(RINGSIDE) GUESTS=$(O)/guest $(TESTS) $(TESTFLAGS)

asan: deps                 ## all tests under ASan and UBSan
	$(MAKE) --no-print-directory check SAN=1 O=$(O)/asan CFLAGS='-O1 -g'

bench: all                 ## cost of a world trap beside a bare signal and ptrace
	@$(MAKE) --no-print-directory $(O)/bench/trap
	RINGSIDE=$(RINGSIDE) GUESTS=$(O)/guest $(O)/bench/trap $(BENCHFLAGS)
$(O)/bench/%: $(O)/bench/%.o $(LIB_OBJ) $(O)/vmm/world/stub_blob.o
	$(CC) $(ALLFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

C_FILES  = $(shell git ls-files -co --exclude-standard '*.c' '*.h')
lint: deps                 ## clang-format check and cppcheck, both clean
	clang-format --dry-run -Werror $(C_FILES)
	cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr \
	         --suppress=missingIncludeSystem --error-exitcode=1 -I. -D_GNU_SOURCE \
	         -DRINGSIDE_VERSION='"x"' decoder vmm bench
format:                    ## rewrite the sources with clang-format
	clang-format -i $(C_FILES)

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

clean:                     ## remove build/
	rm -rf $(O)

-include $(LIB_OBJ:.o=.d) $(TEST_OBJ:.o=.d) $(O)/vmm/main.d $(wildcard $(O)/bench/*.d)
