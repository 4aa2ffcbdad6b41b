.bail on
pragma journal_mode = wal;
create table rows(id integer primary key, name text, number integer, words text);
.mode csv
.import rows.csv rows
.mode list
create index by_name on rows(name);
create index by_number on rows(number, name);
create virtual table found using fts5(words, content=rows, content_rowid=id);
insert into found(found) values('rebuild');
select count(*), sum(number), min(name), max(words) from rows;
select name, count(*) as c from rows group by name order by c desc, name limit 20;
select a.id, b.id from rows a join rows b on a.number = b.number and a.id < b.id order by 1, 2 limit 20;
select count(*) from found where found match 'with';
select id, row_number() over (partition by name order by number) from rows order by name, number, id limit 20;
with recursive f(n, a, b) as (select 1, 0, 1 union all select n + 1, b, (a + b) % 1000003 from f where n < 50000) select max(n), sum(a) from f;
select length(group_concat(words, '|')), length(json_group_array(json_object('id', id, 'words', words))) from rows where id % 10 = 0;
update rows set words = words || ' changed ' || id where id % 7 = 0;
delete from rows where id % 11 = 0;
analyze;
vacuum;
pragma integrity_check;
select count(*), sum(length(words)) from rows;
