# The course lab: the product with a student's file in place of a module.  See lab/PARTS.md.
#
# A part X is lab/X/.  Its part.mk sets
#   X_FILE      the student's file
#   X_REPLACES  the sources of the product in whose place it is built
#   X_HIDES     more of the product that gives it away: only objects of it, or nothing of a header,
#               are in the student's tree
#   X_ITEMS     sources of the graded items; what they use of tests/
#   X_GUESTS    images in $(O)/guest that they boot
# A and B are built alike: the student's file and everything else of the product.
LAB_PARTS  := $(patsubst lab/%/part.mk,%,$(sort $(wildcard lab/?/part.mk)))
LAB_OUT    ?= $(O)/lab
LAB_COMMON := $(O)/lab/common
LAB_GRADE  := $(O)/lab/grade
include $(LAB_PARTS:%=lab/%/part.mk)

LAB_REPLACED := $(foreach x,$(LAB_PARTS),$($(x)_REPLACES))
ifneq ($(words $(LAB_REPLACED)),$(words $(sort $(LAB_REPLACED))))
$(error lab: two parts replace the same file: $(LAB_REPLACED))
endif

# A student's warnings are shown and are no errors.
LAB_CFLAGS = $(CPPFLAGS) $(filter-out -Werror,$(ALLFLAGS))
# Items are compiled against lab/grade/shim in place of Criterion.
LAB_ITEM_CFLAGS = -Ilab/grade/shim $(CPPFLAGS) $(ALLFLAGS) -Wno-format-zero-length
LAB_SHARED   := $(addprefix lab/grade/,item.c boot.c proc.c) tests/child.c
LAB_ITEM_OBJ := $(patsubst %.c,$(LAB_COMMON)/%.o,$(LAB_SHARED) \
                $(foreach x,$(LAB_PARTS),$($(x)_ITEMS)))

# What all parts have in common, so that grading begins with it done.
LAB_NEEDS := $(O)/vmm/main.o $(LIB_OBJ) $(O)/vmm/world/stub_blob.o $(LAB_ITEM_OBJ) \
             $(sort $(foreach x,$(LAB_PARTS),$($(x)_GUESTS:%=$(O)/guest/%)))

.PHONY: lab-help lab-all lab-grade lab-check lab-handout $(LAB_PARTS:%=lab-%) \
        $(LAB_PARTS:%=lab-grade-%) $(LAB_PARTS:%=lab-run-%) $(LAB_PARTS:%=lab-check-%)

lab-help:
	@echo "make -C lab A            build ringside with your part A, as $(LAB_OUT)/A/ringside"
	@echo "make -C lab run-A        boot the part's guest with it"
	@echo "make -C lab grade-A      your points for part A, and why the others are lost"
	@echo "make -C lab grade        all parts; JSON=FILE: for Gradescope, too"
	@echo "make -C lab all          build ringside with all your parts, as $(LAB_OUT)/ringside"
	@[ ! -f lab/handout.sh ] || echo "make -C lab handout      the students' tree, a tarball"
	@[ ! -f lab/handout.sh ] || echo "make -C lab check        grade the grader: lab/*/wrong, right"
	@echo "parts: $(LAB_PARTS)"

# The product without what part $(1) replaces, wherever it comes from.
LAB_WITHOUT = $(filter-out $($(1)_REPLACES:%.c=$(O)/%.o) lab/reference/$(1).o,$(LIB_OBJ))

# student.is: another file, or an older one, must be noticed, whatever the times say.
.PHONY: LAB-FORCE
define LAB_RULES
lab-$(1): $(LAB_OUT)/$(1)/ringside $(LAB_OUT)/$(1)/items
$(LAB_OUT)/$(1)/student.is: LAB-FORCE
	@mkdir -p $$(@D)
	@{ echo $$($(1)_FILE); cat $$($(1)_FILE); } | cmp -s - $$@ || \
	  { echo $$($(1)_FILE); cat $$($(1)_FILE); } >$$@
$(LAB_OUT)/$(1)/student.o: $(LAB_OUT)/$(1)/student.is
	$$(CC) $$(LAB_CFLAGS) -MMD -MP -c -o $$@ $$($(1)_FILE)
	@echo '$$($(1)_FILE):' >>$$(@:.o=.d) # another file next time: this one may be gone
$(LAB_OUT)/$(1)/ringside: $(LAB_OUT)/$(1)/student.o $(O)/vmm/main.o $(LAB_WITHOUT) \
		$(O)/vmm/world/stub_blob.o
	$$(CC) $$(ALLFLAGS) $$(LDFLAGS) -o $$@ $$^ $$(LDLIBS)
$(LAB_OUT)/$(1)/items: $(LAB_OUT)/$(1)/student.o \
		$(patsubst %.c,$(LAB_COMMON)/%.o,$(LAB_SHARED) $($(1)_ITEMS)) \
		$(LAB_WITHOUT) $(O)/vmm/world/stub_blob.o
	$$(CC) $$(ALLFLAGS) $$(LDFLAGS) -o $$@ $$^ $$(LDLIBS)
lab-run-$(1): lab-$(1) $($(1)_GUESTS:%=$(O)/guest/%)
	$(LAB_OUT)/$(1)/ringside run $(if $($(1)_RUN),$($(1)_RUN),--stats $(O)/guest/minios.elf -append demo) || \
	  [ $$$$? = 33 ]
lab-grade-$(1): $(LAB_GRADE)/grade $$(LAB_NEEDS)
	@LAB_O=$(O) $$< $(if $(JSON),--json=$(JSON)) $(1)
-include $(LAB_OUT)/$(1)/student.d
endef
$(foreach x,$(LAB_PARTS),$(eval $(call LAB_RULES,$(x))))

lab-grade: $(LAB_GRADE)/grade $(LAB_NEEDS)
	@LAB_O=$(O) $< $(if $(JSON),--json=$(JSON))

# All of a student's parts at once: a hypervisor of their own.
lab-all: $(LAB_OUT)/ringside
$(LAB_OUT)/ringside: $(LAB_PARTS:%=$(LAB_OUT)/%/student.o) $(O)/vmm/main.o \
		$(filter-out $(LAB_REPLACED:%.c=$(O)/%.o) $(LAB_PARTS:%=lab/reference/%.o),$(LIB_OBJ)) \
		$(O)/vmm/world/stub_blob.o
	$(CC) $(ALLFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(sort $(LAB_ITEM_OBJ)): $(LAB_COMMON)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(LAB_ITEM_CFLAGS) -MMD -MP -c -o $@ $<

.PHONY: tour
tour:                      ## the guided comments of the sources, in reading order
	@awk -f lab/tour.awk $$(grep -lE '^/\*: [0-9]+\. ' -r decoder vmm $(if $(wildcard lab/handout.sh),,lab/?/*.c) | sort)

# The grader.
$(O)/lab/grade/%.o: lab/grade/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALLFLAGS) -MMD -MP -c -o $@ $<
$(LAB_GRADE)/grade: $(addprefix $(LAB_GRADE)/,grade.o score.o proc.o)
	$(CC) $(ALLFLAGS) $(LDFLAGS) -o $@ $^ -ljson-c

-include $(LAB_ITEM_OBJ:.o=.d) $(wildcard $(LAB_GRADE)/*.d)

# Whether the grader judges right, and the students' tree: not in that tree.
ifneq ($(wildcard lab/handout.sh),)
$(LAB_GRADE)/check: $(addprefix $(LAB_GRADE)/,check.o score.o proc.o)
	$(CC) $(ALLFLAGS) $(LDFLAGS) -o $@ $^
lab-check: $(LAB_GRADE)/check $(LAB_NEEDS)
	@LAB_O=$(O) $<
$(LAB_PARTS:%=lab-check-%): lab-check-%: $(LAB_GRADE)/check $(LAB_NEEDS)
	@LAB_O=$(O) $< $*

# Modules as objects only: what part X replaces as X.o, what else it hides as X-rest.o.  Without
# debug information, paths of ours, assertions (which are text), sanitizers, and the names that
# nobody else needs.
LAB_REF     := $(LAB_COMMON)/reference
LAB_REF_C   := $(filter %.c,$(LAB_REPLACED) $(foreach x,$(LAB_PARTS),$($(x)_HIDES)))
LAB_REST    := $(foreach x,$(LAB_PARTS),$(if $(filter %.c,$($(x)_HIDES)),$(x)-rest))
LAB_REF_OBJ := $(LAB_PARTS:%=$(LAB_REF)/%.o) $(LAB_REST:%=$(LAB_REF)/%.o)
LAB_TARBALL := $(LAB_COMMON)/ringside-lab.tar.gz
$(LAB_REF_C:%.c=$(LAB_REF)/%.o): $(LAB_REF)/%.o: %.c lab/lab.mk
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -DNDEBUG -std=c11 -O2 -w -fno-common -pthread \
	      -ffile-prefix-map=$(CURDIR)=. -MMD -MP -c -o $@ $<
define LAB_REF_RULES
$(LAB_REF)/$(1).o: $(patsubst %.c,$(LAB_REF)/%.o,$(filter %.c,$(2))) $(LIB_OBJ) $(LAB_ITEM_OBJ) \
		$(O)/vmm/main.o lab/reference.sh
	sh lab/reference.sh $$@ $(patsubst %.c,$(LAB_REF)/%.o,$(filter %.c,$(2))) -- $(O)/vmm/main.o \
	  $(filter-out $(patsubst %.c,$(O)/%.o,$(2)),$(LIB_OBJ)) $(sort $(LAB_ITEM_OBJ))
endef
$(foreach x,$(LAB_PARTS),$(eval $(call LAB_REF_RULES,$(x),$($(x)_REPLACES))) \
  $(eval $(call LAB_REF_RULES,$(x)-rest,$($(x)_HIDES))))

# For tests/lab.c.
.PHONY: lab-ready
lab-ready: $(LAB_TARBALL) $(LAB_GRADE)/check $(LAB_GRADE)/grade $(LAB_NEEDS)

lab-handout: $(LAB_TARBALL)
	@mkdir -p $(LAB_OUT)
	@cp $< $(LAB_OUT)/ && echo $(LAB_OUT)/$(<F)
$(LAB_TARBALL): $(LAB_REF_OBJ) $(shell find lab -type f) $(shell find decoder vmm guest docs -type f) \
		$(wildcard tests/*.h) Makefile deps.mk
	PARTS="$(LAB_PARTS)" FILES="$(foreach x,$(LAB_PARTS),$($(x)_FILE))" \
	  HIDDEN="$(LAB_REPLACED) $(foreach x,$(LAB_PARTS),$($(x)_HIDES))" OBJECTS="$(LAB_REF_OBJ)" \
	  ITEMS="$(sort tests/child.c $(foreach x,$(LAB_PARTS),$($(x)_ITEMS)))" lab/handout.sh $(@D)
-include $(LAB_REF_C:%.c=$(LAB_REF)/%.d)
endif
