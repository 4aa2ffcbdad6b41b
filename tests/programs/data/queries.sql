select sum(abalance) = (select sum(bbalance) from pgbench_branches),
    sum(abalance) = (select sum(delta) from pgbench_history), count(*) from pgbench_accounts;
create table words as select i as id, md5(i::text) as word, (i * 7919) % 1000 as number,
    array[i, i * 2] as numbers, jsonb_build_object('a', i, 'b', repeat(md5(i::text), i % 20)) as document
    from generate_series(1, 100000) as i;
create index on words using btree(word);
create index on words using gin(document);
create index on words(number) include(id);
analyze words;
select count(*), md5(string_agg(word, ',' order by word desc)) from words;
select number, count(*), sum(id) from words group by number order by number limit 10;
select count(*) from words a join words b on a.number = b.number where a.id < 2000;
select md5(string_agg(document::text, '' order by id)) from words where document @> '{"a": 77}' or id % 1000 = 0;
select sum(length(document::text)) from words;
select avg(rank) from (select rank() over (partition by number order by word) from words) as ranks;
select length(xmlagg(xmlelement(name w, xmlattributes(id as i), word))::text) from words where id < 5000;
select count(*) from words where word ~ '^(a|b).*[0-9]{3}.*f$';
select ts_rank(to_tsvector('english', string_agg(word, ' ')), to_tsquery('a:*')) > 0 from words where id < 3000;
do $$
declare total bigint := 0; texts text[] := '{}';
begin
    for i in 1..20000 loop
        begin
            texts := case when i % 100 = 0 then '{}' else texts || md5(i::text) end;
            if i % 50 = 0 then raise exception 'number %', i; end if;
        exception when others then total := total + length(sqlerrm);
        end;
    end loop;
    raise notice '%', total;
end $$;
update words set document = document || '{"c": 1}' where id % 3 = 0;
vacuum full words;
create index concurrently again on words(word, number);
select sum(number), sum(length(document::text)) from words;
