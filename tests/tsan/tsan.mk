# ThreadSanitizer.  Included by the Makefile.
#
#   make tsan [TSAN_SECONDS=10]    the tests and the soak with every race of the VMM reported
#
# The world stub and the guests are built without it, as for `make asan`.  Of the VMM nothing is
# suppressed: what it shares with worlds it accesses by atomics and copies.
#
# tests/native.c executes single instructions in the test's process, on guest segments and stacks;
# ThreadSanitizer's signal handlers cannot run there.  These suites are built on it, and have one
# thread.
TSAN_SECONDS ?= 10
TSAN_FLAGS   := -fsanitize=thread -fno-omit-frame-pointer
TSAN_NOT     := native|length|decoder_table|emu_flags|emu_seg_native
TSAN_O       := $(O)/tsan

ifneq ($(filter -fsanitize=thread,$(SANFLAGS)),)
TEST_OBJ     += $(O)/tests/tsan/arena.o
endif

.PHONY: tsan

# A race in a process whose status nobody looks at must not go unnoticed: all reports go to files.
TSAN_ENV     := RINGSIDE=$(TSAN_O)/ringside GUESTS=$(O)/guest \
                TSAN_OPTIONS=log_path=$(TSAN_O)/race:second_deadlock_stack=1

tsan: deps guests          ## tests and soak under ThreadSanitizer, TSAN_SECONDS=10 of soak
	@$(MAKE) --no-print-directory -j$(JOBS) O=$(TSAN_O) SANFLAGS='$(TSAN_FLAGS)' \
	  CFLAGS='-O1 -g' $(TSAN_O)/ringside $(TSAN_O)/tests/ringside-tests
	@$(MAKE) --no-print-directory $(SOAK)
	@rm -f $(TSAN_O)/race.*
	@bad=0; \
	$(TSAN_ENV) $(TSAN_O)/tests/ringside-tests --filter '!($(TSAN_NOT))/*' $(TESTFLAGS) || bad=1; \
	for n in 1 4; do for g in conform minios; do \
	  $(TSAN_ENV) $(TSAN_O)/ringside run --smp $$n --timeout 300 $(O)/guest/$$g.elf \
	    -append demo </dev/null >$(TSAN_O)/$$g.out 2>&1; \
	  [ $$? = 33 ] || { echo "tsan: $$g with --smp $$n:"; tail $(TSAN_O)/$$g.out; bad=1; }; \
	done; done; \
	$(TSAN_ENV) $(SOAK) $(TSAN_O)/ringside $(SOAK_GUEST) $(TSAN_SECONDS) || bad=1; \
	for f in $(TSAN_O)/race.*; do [ ! -e $$f ] || { cat $$f; bad=1; }; done; \
	[ $$bad = 0 ] && echo "tsan: no race" || { echo "tsan: FAILED"; exit 1; }
