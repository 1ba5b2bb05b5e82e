"""Names that a function in a header of C cannot have."""

__all__ = ["is_reserved"]

_KEYWORDS = (
    "auto break case char const continue default do double else enum extern float for goto if "
    "inline int long register restrict return short signed sizeof static struct switch typedef "
    "union unsigned void volatile while main "
    # of C23
    "alignas alignof bool constexpr false nullptr static_assert thread_local true typeof "
    "typeof_unqual "
    # of C++, in which the header is used as well
    "and and_eq asm bitand bitor catch char8_t char16_t char32_t class co_await co_return co_yield "
    "compl concept const_cast consteval constinit decltype delete dynamic_cast explicit export "
    "friend mutable namespace new noexcept not not_eq operator or or_eq private protected public "
    "reinterpret_cast requires static_cast template this throw try typeid typename using virtual "
    "wchar_t xor xor_eq"
)
# each also with the suffixes f and l: C99, C23, POSIX, and what libraries add to them
_OF_MATH = (
    "acos acosh acospi asin asinh asinpi atan atan2 atan2pi atanh atanpi canonicalize cbrt ceil "
    "compoundn copysign cos cosh cospi drem erf erfc exp exp10 exp10m1 exp2 exp2m1 expm1 fabs fdim "
    "finite floor fma fmax fmaximum fmaximum_mag fmaximum_mag_num fmaximum_num fmaxmag fmin "
    "fminimum fminimum_mag fminimum_mag_num fminimum_num fminmag fmod frexp fromfp fromfpx gamma "
    "getpayload hypot ilogb isinf isnan j0 j1 jn ldexp lgamma llogb llrint llround log log10 "
    "log10p1 log1p log2 log2p1 logb logp1 lrint lround modf nan nearbyint nextafter nextdown "
    "nexttoward nextup pow pow10 pown powr remainder remquo rint rootn round roundeven rsqrt scalb "
    "scalbln scalbn setpayload setpayloadsig significand sin sincos sinh sinpi sqrt tan tanh tanpi "
    "tgamma totalorder totalordermag trunc ufromfp ufromfpx y0 y1 yn"
)
_MACROS_OF_MATH = ("FP_", "HUGE_VAL", "M_", "MATH_ERR", "SNAN")
_OTHERS_OF_MATH = (
    "lgamma_r lgammaf_r lgammal_r signgam float_t double_t fpclassify iscanonical iseqsig isfinite "
    "isgreater isgreaterequal isless islessequal islessgreater isnormal issignaling issubnormal "
    "isunordered iszero math_errhandling signbit dadd daddl ddiv ddivl dfma dfmal dmul dmull dsqrt "
    "dsqrtl dsub dsubl fadd faddl fdiv fdivl ffma ffmal fmul fmull fsqrt fsqrtl fsub fsubl "
    "INFINITY MAXFLOAT NAN DOMAIN OVERFLOW PLOSS SING TLOSS UNDERFLOW linux unix"
)
# of <stdio.h>, <stdlib.h> and <string.h>, which compilers know without them
_OF_LIBRARY = (
    "clearerr fclose feof ferror fflush fgetc fgetpos fgets fopen fprintf fputc fputs fread "
    "freopen fscanf fseek fsetpos ftell fwrite getc getchar gets perror printf putc putchar puts "
    "remove rename rewind scanf setbuf setvbuf snprintf sprintf sscanf tmpfile tmpnam ungetc "
    "vfprintf vfscanf vprintf vscanf vsnprintf vsprintf vsscanf abort abs atexit atof atoi atol "
    "atoll bsearch calloc div exit free getenv labs ldiv llabs lldiv malloc mblen mbstowcs mbtowc "
    "qsort rand realloc srand strtod strtof strtol strtold strtoll strtoul strtoull system "
    "wcstombs wctomb memchr memcmp memcpy memmove memset strcat strchr strcmp strcoll strcpy "
    "strcspn strerror strlen strncat strncmp strncpy strpbrk strrchr strspn strstr strtok strxfrm"
)

_RESERVED = frozenset(
    [
        *(name + suffix for name in _OF_MATH.split() for suffix in ("", "f", "l")),
        *" ".join((_KEYWORDS, _OTHERS_OF_MATH, _OF_LIBRARY)).split(),
    ]
)


def is_reserved(name: str) -> bool:
    """Whether it is a keyword, or `<math.h>` or another standard header declares or defines it."""
    return name in _RESERVED or name.startswith(_MACROS_OF_MATH)
