-- uses: _shared/kernel_families
-- One row a kernel name of the family gemm and what it says: the block's tile (m, n, k elements), the stages of its
-- pipeline, the type of its inputs, whether it sums parts of K in several blocks, and whether it is the sum of such
-- parts. NULL where the name says nothing. Grammars, first that holds: XMMA (tilesize64x64x32_stage3, f16f16_f16f32_f32:
-- A and C, B and accumulator), nvjet (tst_192x192_64x4: type codes of input, accumulator, output; tile, k x stages),
-- CUTLASS 3 (gemm_e4m3_e4m3_f32_bf16_bf16_128x128x64_2x1x1_0: tile, cluster, stages, 0 = chosen when compiled), cuBLAS
-- (64x64_sliced1x2_ldg8_f2f_stages_64x6_tn: tile, k x stages) and CUTLASS 2 (256x128_32x3_tn: the same). A CUTLASS name
-- without a type at a 1688 instruction multiplies float32 as tf32.
CREATE VIEW gemm_names AS
WITH parts AS (
    SELECT name, low,
           regexp_extract(low, 'tilesize(\d+)x(\d+)x(\d+)', ['m', 'n', 'k']) AS xmma,
           regexp_extract(low, 'nvjet_(?:sm\d+_)?[a-z]+_(\d+)x(\d+)_(\d+)x(\d+)_', ['m', 'n', 'k', 's']) AS jet,
           regexp_extract(low, '_(\d+)x(\d+)x(\d+)_(?:\d+x\d+x\d+_)?(\d+)_', ['m', 'n', 'k', 's']) AS three,
           regexp_extract(low, '_(\d+)x(\d+)_(?:\w*_)?stages_(\d+)x(\d+)', ['m', 'n', 'k', 's']) AS staged,
           regexp_extract(low, '_(\d+)x(\d+)_(\d+)x(\d+)_[nt]{2}', ['m', 'n', 'k', 's']) AS two,
           regexp_extract(low, 'gemm\w*?_(\d+)x(\d+)_', ['m', 'n']) AS plain,
           regexp_extract(low, 'nvjet_(?:sm\d+_)?([a-z]+)_', 1) AS code,
           coalesce(
               nullif(regexp_extract(
                   low, '_(?:bf16|f16|tf32|f32|f64|e4m3|e5m2|i8){2}_(bf16|f16|tf32|f32|f64|e4m3|e5m2|i8)', 1), ''),
               nullif(regexp_extract(low, '\d(bf16|f16|tf32)gemm', 1), ''),
               nullif(regexp_extract(
                   low, 'gemm_(?:(?:relu|gelu|bias)_)*(bf16|fp16|f16|tf32|f32|e4m3|e5m2|s8|int8)_', 1), ''),
               CASE WHEN regexp_matches(low, '[a-z]*s1688gemm') THEN 'tf32'
                    WHEN regexp_matches(low, '_h\d*gemm') THEN 'f16'
                    WHEN regexp_matches(low, '_d\d*gemm') THEN 'f64'
                    WHEN regexp_matches(low, '_sgemm') THEN 'f32' END,
               nullif(regexp_extract(low, 'gem[mv]\w*(?:::kernel)?<[^>]*?(__nv_bfloat16|__half|float|double)', 1), '')) AS type
    FROM (SELECT DISTINCT name, lower(name) AS low FROM kernel_families WHERE work = 'kernel' AND family = 'gemm')
)
SELECT name,
       TRY_CAST(coalesce(nullif(xmma.m, ''), nullif(jet.m, ''), nullif(three.m, ''), nullif(staged.m, ''),
                         nullif(two.m, ''), plain.m) AS BIGINT) AS tile_m,
       TRY_CAST(coalesce(nullif(xmma.n, ''), nullif(jet.n, ''), nullif(three.n, ''), nullif(staged.n, ''),
                         nullif(two.n, ''), plain.n) AS BIGINT) AS tile_n,
       TRY_CAST(coalesce(nullif(xmma.k, ''), nullif(jet.k, ''), nullif(three.k, ''), nullif(staged.k, ''),
                         two.k) AS BIGINT) AS tile_k,
       nullif(TRY_CAST(coalesce(nullif(regexp_extract(low, '_stage(\d+)_', 1), ''), nullif(jet.s, ''),
                                nullif(three.s, ''), nullif(staged.s, ''), two.s) AS BIGINT), 0) AS stages,
       CASE WHEN starts_with(code, 'qq') THEN 'fp8'
            WHEN starts_with(code, 't') THEN 'bf16'
            WHEN starts_with(code, 'h') THEN 'fp16'
            WHEN code <> '' THEN NULL
            WHEN type IN ('bf16', '__nv_bfloat16') THEN 'bf16'
            WHEN type IN ('f16', 'fp16', '__half') THEN 'fp16'
            WHEN type = 'tf32' THEN 'tf32'
            WHEN type IN ('f32', 'float') THEN 'fp32'
            WHEN type IN ('f64', 'double') THEN 'fp64'
            WHEN type IN ('e4m3', 'e5m2') THEN 'fp8'
            WHEN type IN ('i8', 's8', 'int8') THEN 'int8' END AS dtype,
       regexp_matches(low, 'split_?k|stream_?k') AS split_k,
       contains(low, 'splitkreduce') AS reduces
FROM parts
